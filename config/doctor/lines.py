"""The lines that ``manage.py doctor`` prints."""

import enum
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final


class Outcome(enum.StrEnum):
    """``ok``; ``warn``: the service works, but somebody should know; ``fail``: it doesn't work, or isn't safe."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Line:
    """What was looked at, what was found, and what to do; ``todo`` is empty if nothing has to be done."""

    subject: str
    outcome: Outcome
    found: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:4}  {self.subject:24} {self.found}" + (f" → {self.todo}" if self.todo else "")


Check = Callable[[], Iterator[Line]]
"""Looks at something. May raise anything."""


def ok(subject: str, found: str) -> Line:
    """A line about something that is well."""
    return Line(subject, Outcome.OK, found)


def warn(subject: str, found: str, todo: str) -> Line:
    """A line about something that somebody should know."""
    return Line(subject, Outcome.WARN, found, todo)


def fail(subject: str, found: str, todo: str) -> Line:
    """A line about something that doesn't work, or isn't safe."""
    return Line(subject, Outcome.FAIL, found, todo)


def choose(subject: str, found: str, todo: str, *, is_bad: bool, outcome: Outcome = Outcome.WARN) -> Line:
    """A line with this outcome if something is bad, else ``ok``."""
    return Line(subject, outcome, found, todo) if is_bad else ok(subject, found)


def report_settings(faults: str, arguments: Sequence[str]) -> str | int:
    """What ``manage.py`` exits with if the settings have faults: the faults. The doctor prints them as its lines, and
    exits with a status."""
    if arguments[:1] != ["doctor"]:
        return faults
    lines = [fail("settings", each, "see docs/reference/configuration.md") for each in faults.splitlines() if each]
    if "--json" in arguments:
        sys.stdout.write(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1


_UNITS: Final = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def sized(number: int) -> str:
    """A number of bytes for people."""
    for unit, size in _UNITS:
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"


def lasting(seconds: float) -> str:
    """A span of time for people."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
