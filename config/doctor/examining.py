"""All that the doctor looks at, in order."""

from collections.abc import Iterator
from typing import Final

from django.db import Error, connection

from config.doctor import database, machine
from config.doctor.background import examine_background
from config.doctor.broker import examine_redis
from config.doctor.lines import Check, Line, Outcome, fail, ok
from config.health import readiness

_HERE: Final[tuple[tuple[str, Check], ...]] = (
    ("settings", machine.examine_settings),
    ("time zones", machine.examine_time_zones),
    ("open files", machine.examine_open_files),
    ("disks", machine.examine_disks),
    ("static files", machine.examine_static_files),
)
_DATABASE: Final[tuple[tuple[str, Check], ...]] = (
    ("clock", database.examine_clock),
    ("postgresql", database.examine_postgresql),
    ("transactions", database.examine_transactions),
    ("service role", database.examine_role),
    ("migrations", database.examine_migrations),
)


def examine() -> Iterator[Line]:
    """Look at everything. Raises nothing: what can't be looked at is a line."""
    for subject, check in _HERE:
        yield from _guarded(subject, check)
    if readiness.answers():
        yield ok("database", "it answers")
        lines = [line for subject, check in _DATABASE for line in _guarded(subject, check)]
        yield from lines
        if all(line.outcome is Outcome.OK for line in lines if line.subject == "migrations"):
            yield from _guarded("background", examine_background)
    else:
        todo = "start PostgreSQL, or correct DATABASE_URL; nothing works without it"
        yield fail("database", f"it doesn't answer at {_place()}", todo)
    yield from _guarded("redis", examine_redis)


def _guarded(subject: str, check: Check) -> list[Line]:
    """The lines of a check; if it fails, a line that says so. Errors of the database may quote rows: only their kind is
    shown."""
    lines: list[Line] = []
    try:
        lines.extend(check())
    except Error as error:
        lines.append(fail(subject, f"it could not be read ({_kind(error)})", "look at the log of PostgreSQL"))
    except Exception as error:  # noqa: BLE001 - the other lines matter as much
        lines.append(fail(subject, f"it could not be looked at: {type(error).__name__}: {error}", "report this"))
    return lines


def _kind(error: Exception) -> str:
    return type(error.__cause__ or error).__name__


def _place() -> str:
    """Where the database should be, without user and password."""
    wanted = connection.settings_dict
    return f"{wanted['HOST'] or 'its socket'}:{wanted['PORT'] or 5432}"
