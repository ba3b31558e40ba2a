"""How values are shown to staff, on every page of the console."""

from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format

NOTHING: Final = "–"
"""Shown where there is no value."""


def shown_time(moment: datetime) -> str:
    """A moment in the reader's zone."""
    return str(date_format(timezone.localtime(moment), "DATETIME_FORMAT"))
