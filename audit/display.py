"""Formatting of values for staff, on every page of the console."""

from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.identifiers import SHORT

NOTHING: Final = "–"
"""Shown in place of an empty value."""


def shown_id(public_id: str) -> SafeString:
    """Show the end of an id; copying and screen readers get the whole id."""
    begin, end = public_id[:-SHORT], public_id[-SHORT:]
    return format_html('<span class="console-id"><span class="flow-unseen">{}</span>{}</span>', begin, end)


def shown_time(moment: datetime) -> str:
    """Format a time in the reader's time zone."""
    return str(date_format(timezone.localtime(moment), "DATETIME_FORMAT"))
