"""Form fields for whole numbers and units."""

from typing import Any, ClassVar, Final

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.whole_numbers import NotWhole, parse_whole_number

MOST_UNITS: Final = 1_000_000
"""The most units of one line, as in the API."""
_MOST: Final = 2_147_483_647
"""The most that an integer of the database holds."""


class WholeNumberField(forms.IntegerField):
    """A whole number, by the rules of ``audit.whole_numbers``. It is signed if ``min_value`` is negative.

    Its input is one for text: a number field of a browser changes with the mouse wheel, takes ``1e3``, and sends
    nothing at all for ``1,000``.
    """

    widget: Any = UnfoldAdminTextInputWidget
    default_least: ClassVar[int] = 0
    default_most: ClassVar[int] = _MOST

    def __init__(self, *, min_value: int | None = None, max_value: int | None = None, **options: Any) -> None:
        self.least = self.default_least if min_value is None else min_value
        self.most = self.default_most if max_value is None else max_value
        options.pop("localize", None)
        super().__init__(min_value=self.least, max_value=self.most, **options)

    def to_python(self, value: Any) -> int | None:
        """The number; None if blank. Raises ValidationError with what was typed and what is expected."""
        if value in self.empty_values or not (text := str(value)).strip():
            return None
        try:
            return parse_whole_number(text, least=self.least, most=self.most)
        except NotWhole as error:
            raise forms.ValidationError(str(error), code="invalid") from error

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """A number pad on phones; where a sign may be typed a keyboard, because number pads have none."""
        return {
            **super().widget_attrs(widget),
            "inputmode": "text" if self.least < 0 else "numeric",
            "autocomplete": "off",
            "data-whole-number": "",
        }


class QuantityField(WholeNumberField):
    """A number of units on one line. A signed one is a difference."""

    default_least = 1
    default_most = MOST_UNITS

    def __init__(self, *, signed: bool = False, **options: Any) -> None:
        limits = {"min_value": -MOST_UNITS} if signed else {}
        super().__init__(**{"label": _("Quantity"), **limits, **options})
