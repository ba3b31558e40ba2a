"""Kills relays with kill -9 at random moments while events are written; run in a house by ``test_relay.py``.

Arguments: how many relays run at a time, how many are killed, and how often PostgreSQL is stopped at once meanwhile.
Prints what the Redis stream has then, compared with the table, as JSON.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from typing import Any, Final

import django

django.setup()

import psycopg  # noqa: E402
import redis  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from uuid_utils.compat import uuid7  # noqa: E402

from audit import feed  # noqa: E402
from audit.models import OutboxEvent  # noqa: E402
from tests.faults.processes import end, fork, stop_postgres  # noqa: E402

KEYS: Final = 12
WRITERS: Final = 2
PATIENCE_SECONDS: Final = 60
_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
_INSERT: Final = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload) VALUES (%s, 'test', %s, 'TestEvent', '{}')
"""


def write(seed: int) -> None:
    """Write events until SIGTERM, each key's while a lock on it is held, as for the rows of stock."""
    chance, is_over = random.Random(seed), False

    def end(*_: object) -> None:
        nonlocal is_over
        is_over = True

    signal.signal(signal.SIGTERM, end)
    while not is_over:
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(**connection.get_connection_params()) as own,
        ):
            while not is_over:
                keys = sorted(chance.sample(range(KEYS), 3))
                for key in keys:
                    own.execute(_LOCK, [key])
                    own.execute(_INSERT, [uuid7(), f"key-{key}"])
                own.commit()
                time.sleep(chance.uniform(0, 0.004))
        time.sleep(0.02)


def relay() -> None:
    call_command("relay_events")


def kill_relays(relays: list[int], kills: int, stops: int, chance: random.Random) -> None:
    """Kill one after the other, and start another one in its place."""
    stop_at = {kills * (n + 1) // (stops + 1) for n in range(stops)}
    for n in range(kills):
        time.sleep(chance.uniform(0, 0.08))
        dead = relays.pop(chance.randrange(len(relays)))
        os.kill(dead, signal.SIGKILL)
        assert os.waitpid(dead, 0)[1] == signal.SIGKILL
        relays.append(fork(relay))
        if n in stop_at:
            stop_postgres()


def published() -> list[feed.Cursor]:
    with redis.Redis.from_url(settings.EVENT_STREAM_URL, decode_responses=True) as client:
        entries: Any = client.xrange(settings.EVENT_STREAM)
    return [feed.Cursor.parse(fields["feedcursor"]) for _, fields in entries]


def compared(entries: list[feed.Cursor]) -> dict[str, int]:
    """What was published, against the log: an entry follows the furthest one so far, or was published before."""
    log = {event.position: n for n, event in enumerate(_whole_log())}
    furthest, last, seams, doubles = -1, -1, 0, 0
    for cursor in entries:
        place = log[cursor.position]
        assert place <= furthest + 1, f"{place - furthest - 1} events are missing before {cursor}"
        doubles += place <= furthest
        seams += place <= last
        furthest, last = max(furthest, place), place
    assert furthest == len(log) - 1, f"the last {len(log) - 1 - furthest} events are missing"
    return {"events": len(log), "doubles": doubles, "seams": seams}


def _whole_log() -> list[feed.LoggedEvent]:
    found: list[feed.LoggedEvent] = []
    cursor = feed.cursor_oldest()
    while True:
        page = feed.read_after(cursor, 5000)
        found += page.events
        cursor = page.cursor
        if not page.has_more:
            return found


def assert_keys_are_in_order(entries: list[feed.Cursor]) -> None:
    """The first time of each event, the positions of a key grow, without a gap."""
    key_of = dict(OutboxEvent.objects.values_list("position", "key"))
    first = list(dict.fromkeys(cursor.position for cursor in entries))
    assert set(first) == set(key_of)
    for key in set(key_of.values()):
        mine = [position for position in first if key_of[position] == key]
        assert mine == sorted(mine), key


def main() -> None:
    relays, kills, stops = map(int, sys.argv[1:])
    chance = random.Random(relays)
    # A stream of its own begins with the oldest event: another test may have emptied Redis.
    settings.EVENT_STREAM = f"driver:{os.getpid()}"
    writers = [fork(lambda n=n: write(n)) for n in range(WRITERS)]  # type: ignore[misc]
    running = [fork(relay) for _ in range(relays)]
    kill_relays(running, kills, stops, chance)
    end(writers)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        feed.tick()
        entries = published()
        if len({cursor.position for cursor in entries}) == OutboxEvent.objects.count():
            break
        assert time.monotonic() < deadline, (len(entries), OutboxEvent.objects.count())
        time.sleep(0.05)
    end(running)
    entries = published()
    assert_keys_are_in_order(entries)
    print(json.dumps(compared(entries)))  # noqa: T201 - for the test


main()
