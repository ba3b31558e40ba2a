"""Relay processes (``manage.py relay_events``) of a service under measurement, and the events that they publish."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.cluster import REPOSITORY, BenchmarkFailed, Connection, stop
from benchmarks.service import Service

_EVENTS_OF_A_PIECE: Final = 100
_INSERT: Final = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload)
SELECT uuidv7(), 'level', 'level-' || mod(n, 1000), 'InventoryLevelChangedEvent', jsonb_build_object(
    'productId', gen_random_uuid(), 'warehouseId', 'wh-001',
    'previous', '{"onHand": 30, "reserved": 2, "available": 28}'::jsonb,
    'new', '{"onHand": 30, "reserved": 4, "available": 26}'::jsonb, 'safetyStock', 2, 'sellable', '{"main": 24}'::jsonb,
    'version', n, 'previousVersion', n - 1, 'cause', jsonb_build_array('ev-' || gen_random_uuid()),
    'eventId', 'ev-' || gen_random_uuid(), 'timestamp', now())
FROM generate_series(1, %s) n RETURNING id
"""


def commit(connection: Connection, events: int) -> list[str]:
    """Insert so many events in one transaction. Returns their ids."""
    return [f"ev-{row[0]}" for row in connection.execute(_INSERT, [events]).fetchall()]


def commit_backlog(connection: Connection, events: int) -> None:
    """Insert so many events, a multiple of 100, in transactions of 100."""
    for _ in range(events // _EVENTS_OF_A_PIECE):
        commit(connection, _EVENTS_OF_A_PIECE)


def publish_once(service: Service, stream: str) -> None:
    """Publish all events to a Redis stream. Raises BenchmarkFailed."""
    command = [sys.executable, "-m", "django", "relay_events", "--once"]
    done = subprocess.run(command, cwd=REPOSITORY, env=_environment(service, stream), capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise BenchmarkFailed(done.stderr.decode())


@contextmanager
def relay(service: Service, stream: str, **settings: str) -> Iterator[None]:
    """A relay process, started once all existing events are published to its Redis stream."""
    publish_once(service, stream)
    command = [sys.executable, "-m", "django", "relay_events"]
    child = subprocess.Popen(command, cwd=REPOSITORY, env=_environment(service, stream, **settings))  # noqa: S603
    try:
        yield
    finally:
        stop(child)


def _environment(service: Service, stream: str, **settings: str) -> dict[str, str]:
    return service.environment(EVENT_STREAM=stream, EVENT_STREAM_LENGTH="10000000", LOG_LEVEL="WARNING", **settings)
