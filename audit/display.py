"""Formatting of values for staff, on every page of the console."""

from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format

NOTHING: Final = "–"
"""Shown in place of an empty value."""


def shown_time(moment: datetime) -> str:
    """Format a time in the reader's time zone."""
    return str(date_format(timezone.localtime(moment), "DATETIME_FORMAT"))
