"""The components of the service, each UP, DEGRADED or DOWN, by the facts (pure).

DOWN means that calls about stock fail, or that expired holds keep their units; DEGRADED that something else has stopped
or is late. What only people have to look at, such as low stock or dead letters, is a number and changes no status.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any, Final

from audit import heartbeats
from audit.heartbeats import Age
from config.health.facts import Facts, stuck_after

STUCK_AT_MOST: Final = 100
"""With more stuck reservations the service is DOWN."""
LATE: Final = timedelta(minutes=1)
"""When the feed or a stream is late."""
WEBHOOKS_LATE: Final = timedelta(minutes=5)
BACKUP_LATE: Final = timedelta(hours=26)
RECONCILIATION_LATE: Final = timedelta(hours=26)


class Status(IntEnum):
    """The status of a component; that of the service is the worst."""

    UP = 0
    DEGRADED = 1
    DOWN = 2


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the service with its status. ``details`` are JSON without secrets."""

    status: Status
    details: Mapping[str, Any] = field(default_factory=dict)


def worst(components: Iterable[Component]) -> Status:
    """The status of the service."""
    return max((each.status for each in components), default=Status.UP)


def of_facts(facts: Facts) -> dict[str, Component]:
    """The components that the facts describe, by name."""
    return {
        "reservations": _reservations(facts),
        "stock": Component(Status.UP, {"criticalStockItems": facts.critical}),
        **processes(facts.heartbeats),
        "feed": _lagging(facts.feed_lag, LATE),
        **{f"stream {name}": _lagging(lag, LATE) for name, lag in facts.stream_lags.items()},
        "webhooks": _lagging(facts.webhook_lag, WEBHOOKS_LATE),
        "deadLetters": Component(Status.UP, dict(facts.dead_letters)),
        "reconciliation": _reconciliation(facts),
        "backup": _backup(facts.heartbeats.get(heartbeats.BACKUP)),
    }


def processes(found: Mapping[str, Age]) -> dict[str, Component]:
    """The background processes, by their heartbeats."""
    return {name: _process(found.get(name), late_after) for name, late_after in heartbeats.expected().items()}


def _reservations(facts: Facts) -> Component:
    late = Status.DEGRADED if facts.stuck else Status.UP
    return Component(
        Status.DOWN if facts.stuck > STUCK_AT_MOST else late,
        {
            "activeReservations": facts.active,
            "stuckReservations": facts.stuck,
            "stuckAfterSeconds": seconds(stuck_after()),
            "oldestDueSeconds": seconds(facts.oldest_due),
        },
    )


def _process(heartbeat: Age | None, late_after: timedelta) -> Component:
    details: dict[str, Any] = {"ageSeconds": None, "lateAfterSeconds": seconds(late_after)}
    if heartbeat is None:
        return Component(Status.DEGRADED, details)
    details |= {"ageSeconds": seconds(heartbeat.age), **heartbeat.detail}
    return Component(_status(is_late=heartbeat.age > late_after), details)


def _lagging(lag: timedelta, late: timedelta) -> Component:
    return Component(_status(is_late=lag > late), {"lagSeconds": seconds(lag)})


def _reconciliation(facts: Facts) -> Component:
    """A reconciliation that never ran is not late: a new installation has none until the first night."""
    last = facts.reconciled
    if last is None:
        return Component(Status.UP, {"lastFinishedAt": None})
    return Component(
        _status(is_late=bool(last.differences) or last.age > RECONCILIATION_LATE),
        {
            "lastFinishedAt": last.finished_at,
            "ageSeconds": seconds(last.age),
            "differences": last.differences,
        },
    )


def _backup(heartbeat: Age | None) -> Component:
    """Backups that were never recorded are not late: not everybody records them."""
    if heartbeat is None:
        return Component(Status.UP, {"lastAt": None})
    return Component(
        _status(is_late=heartbeat.age > BACKUP_LATE),
        {"lastAt": heartbeat.at, "ageSeconds": seconds(heartbeat.age)},
    )


def _status(*, is_late: bool) -> Status:
    return Status.DEGRADED if is_late else Status.UP


def seconds(span: timedelta) -> float:
    """A span of time in seconds, to the millisecond."""
    return round(span.total_seconds(), 3)
