"""Heartbeats: each background process records that it works, so that others notice when it no longer does.

A heartbeat is written after work was done, by the process that did it: a process that runs but fails writes none.
"""

import json
import socket
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from audit.models import Heartbeat

BEAT: Final = "beat"
"""The scheduler: a task that it alone sends has run."""
SWEEPER: Final = "sweeper"
WORKER: Final = "worker"
RELAY: Final = "relay"
CANARY: Final = "canary"
"""The last run of the canary that succeeded."""
BACKUP: Final = "backup"
"""The last backup that succeeded (``manage.py record_backup``)."""

STOCK: Final = "stock"
"""The last sum of the stock, which all machines share; ``read`` leaves it out (``config.metrics.figures``)."""

_PULSE_SECONDS: Final = 5.0
_MACHINE_LENGTH: Final = 100
_WRITE: Final = """
INSERT INTO audit_heartbeat (name, at, detail)
VALUES (%s, coalesce(%s::timestamptz, clock_timestamp()), %s::text::jsonb)
ON CONFLICT (name) DO UPDATE SET at = excluded.at, detail = excluded.detail
"""


@dataclass(frozen=True, slots=True)
class Age:
    """A heartbeat that was read: its time and its age, by the database's clock, and its details."""

    at: datetime
    age: timedelta
    detail: dict[str, Any]


class Pulse:
    """The heartbeat of a loop, written every few seconds at most, however often the loop runs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next_at = 0.0

    def beat(self) -> None:
        """Write the heartbeat, unless it was written within the last few seconds."""
        if time.monotonic() >= self._next_at:
            beat(self._name)
            self._next_at = time.monotonic() + _PULSE_SECONDS


def beat(name: str, **detail: Any) -> None:
    """Write a heartbeat, with this machine's name. One statement. ``detail`` must be JSON without secrets.

    Call it outside of transactions: its row stays locked until the end of one.
    """
    write(name, None, **detail)


def write(name: str, at: datetime | None, **detail: Any) -> None:
    """Write a heartbeat of a certain time; None means now, by the database's clock."""
    machine = socket.gethostname()[:_MACHINE_LENGTH]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [name, at, json.dumps({"machine": machine, **detail})])


def read() -> dict[str, Age]:
    """All heartbeats of processes by name. One statement."""
    found = Heartbeat.objects.exclude(name=STOCK).annotate(age=Now() - F("at"))
    return {each.name: Age(each.at, each.age, each.detail) for each in found}


def expected() -> dict[str, timedelta]:
    """The processes that must run, each with the age from which its heartbeat is late."""
    minute = timedelta(minutes=1)
    canary = {CANARY: 3 * minute} if settings.CANARY else {}
    return {
        BEAT: 2 * minute,
        SWEEPER: max(2 * minute, timedelta(seconds=4 * settings.SWEEP_INTERVAL_SECONDS)),
        WORKER: 3 * minute,  # Long tasks may occupy all processes of a worker for a while.
        RELAY: minute,
        **canary,
    }
