"""Formatting of values for staff, on every page of the console."""

from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audit.identifiers import SHORT, parts_with_ids

NOTHING: Final = "–"
"""Shown in place of an empty value."""


def shown_id(public_id: str) -> SafeString:
    """Show the end of an id; copying and screen readers get the whole id."""
    begin, end = public_id[:-SHORT], public_id[-SHORT:]
    return format_html('<span class="console-id"><span class="flow-unseen">{}</span>{}</span>', begin, end)


def with_shown_ids(text: str) -> SafeString:
    """A text in which each id is shown by its end (``shown_id``)."""
    parts = ((before, shown_id(found) if found else "") for before, found in parts_with_ids(text))
    return format_html_join("", "{}{}", parts)


def shown_time(moment: datetime) -> str:
    """Format a time in the reader's time zone."""
    return str(date_format(timezone.localtime(moment), "DATETIME_FORMAT"))
