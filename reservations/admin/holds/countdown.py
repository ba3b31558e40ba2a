"""The time left of a hold, as an element that ``countdown.js`` counts down on the page."""

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _


def countdown(seconds: int, *, expired: Any = "", title: str = "") -> SafeString:
    """Render the seconds left, counted from when the page is rendered. At zero the status becomes ``expired``."""
    return format_html(
        '<span class="console-countdown" data-seconds-left="{}" data-over="{}" data-expired="{}" title="{}">{}</span>',
        seconds,
        _("ended"),
        expired,
        title,
        _clock(seconds),
    )


def _clock(seconds: int) -> str:
    """The time as ``4:05`` or ``1:04:05``, in the format of ``countdown.js``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
