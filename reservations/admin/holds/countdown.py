"""Time left of a hold, as ``countdown.js`` goes on counting it on the page."""

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _


def countdown(seconds: int, *, expired: Any = "", title: str = "") -> SafeString:
    """Seconds left when the page is made. ``expired`` is what the status beside it reads once they are over."""
    return format_html(
        '<span class="console-countdown" data-seconds-left="{}" data-over="{}" data-expired="{}" title="{}">{}</span>',
        seconds,
        _("ended"),
        expired,
        title,
        _clock(seconds),
    )


def _clock(seconds: int) -> str:
    """``4:05``, or ``1:04:05``, as ``countdown.js`` writes it."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
