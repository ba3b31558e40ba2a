"""Instants: the one bound for all of them (docs/explanation/rules.md, rule 38), and their reading from texts of people
and files. Pure."""

import re
from datetime import UTC, date, datetime, time, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from django.utils.translation import gettext

from audit.whole_numbers import visible

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
BOUNDS: Final = "2000-01-01 to 2199-12-31"
_TYPED: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?) ?(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


class NotAnInstant(ValueError):
    """A text is no time, or one out of the bounds. The error's text is a sentence for people."""


def parse_instant(text: str, zone: tzinfo) -> datetime:
    """The time in UTC of a text such as ``2030-12-31 18:00`` or a day, in ``zone`` unless it names an offset.

    Raises NotAnInstant, with what was typed and what is expected: also for a number, which may be an epoch's seconds or
    a spreadsheet's days, and for a time out of the bounds.
    """
    typed = text.strip()
    message = gettext("“%(typed)s” is not a time such as 2030-12-31 18:00.") % {"typed": visible(typed)}
    found = _TYPED.fullmatch(typed)
    if not found:
        raise NotAnInstant(message)
    try:
        at = time.fromisoformat((found["time"] or "00:00") + (found["offset"] or ""))
        moment = datetime.combine(date.fromisoformat(found["day"]), at)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return in_bounds(moment)
    except OutOfBounds as error:
        raise NotAnInstant(str(error)) from error
    except ValueError as error:
        raise NotAnInstant(message) from error


class OutOfBounds(ValueError):
    """A time is out of the bounds of all instants."""


def in_bounds(moment: datetime) -> datetime:
    """A time in UTC. Raises OutOfBounds unless it is within ``EARLIEST`` and ``LATEST``: other times overflow where
    they are converted to a reader's zone."""
    if not EARLIEST <= moment <= LATEST:
        raise OutOfBounds(gettext("A time lies within %(bounds)s (UTC).") % {"bounds": BOUNDS})
    return moment.astimezone(UTC)


class ReadersZone(ZoneInfo):
    """A reader's time zone, in which every time can be shown.

    Times from before there were bounds may be so close to the first or the last that Python has that they overflow:
    these are shown as they are in UTC.
    """

    def fromutc(self, dt: datetime, /) -> datetime:
        try:
            return super().fromutc(dt)
        except OverflowError:
            return dt


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def readers_zone(name: str) -> ReadersZone:
    """The zone of this IANA name; UTC if there is none."""
    return ReadersZone(name if name in _zones() else "UTC")
