"""Form fields for times, in the reader's time zone and within the bounds of all instants (``audit.instants``)."""

from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.instants import NotAnInstant, OutOfBounds, in_bounds, parse_instant


class TimeInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A browser's own field for a time."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"min": "2000-01-01T00:00", "max": "2199-12-31T23:59", **(attrs or {})})

    def format_value(self, value: Any) -> str | None:
        if isinstance(value, datetime):
            return value.replace(tzinfo=None).isoformat(timespec="minutes")
        return cast("str | None", super().format_value(value))


class TimeField(forms.DateTimeField):
    """A time. Its value is in UTC."""

    widget = TimeInput

    def to_python(self, value: Any) -> datetime | None:
        """The time; None if blank. Raises ValidationError with what was typed and what is expected."""
        if value in self.empty_values or not str(value).strip():
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        try:
            return parse_instant(str(value), timezone.get_current_timezone())
        except NotAnInstant as error:
            raise forms.ValidationError(str(error), code="invalid") from error


def require_bounds(moment: datetime) -> None:
    """A validator of fields for times. Raises ValidationError for one out of the bounds."""
    try:
        in_bounds(moment)
    except OutOfBounds as error:
        raise forms.ValidationError(str(error), code="out_of_bounds") from error
