"""The choice of how far an account or a client reaches: everywhere, or only to some places."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.contrib.admin import VERTICAL
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminRadioSelectWidget


class ReachForm(forms.Form):
    """How far somebody reaches: all places, or only those that are ticked. One of both must be chosen.

    ``many`` is the name of the field with the places.
    """

    many: ClassVar[str]
    undecided: ClassVar[Any]
    """The message if nothing was chosen."""

    reach = forms.ChoiceField(required=False, widget=UnfoldAdminRadioSelectWidget(radio_style=VERTICAL))

    def offer_places(self, places: Iterable[tuple[str, str]], chosen: Sequence[str] | None = ()) -> None:
        """Offer these places (code, name), with those in ``chosen`` ticked: None means all, empty nothing so far."""
        if self.many not in self.fields:
            return
        choices = [(code, f"{code} – {name}") for code, name in places]
        cast(forms.MultipleChoiceField, self.fields[self.many]).choices = choices
        self.initial["reach"] = "all" if chosen is None else "some" if chosen else None
        self.initial[self.many] = list(chosen or ())

    def clean(self) -> Any:
        """Ticked places without a choice are "only these", and neither leaves what there is: the page always sends a
        choice. Refuse a new row without one, and places ticked beside "all"."""
        given = super().clean() or self.cleaned_data
        if not given.get("reach") and not given.get(self.many):
            given |= {"reach": self.initial.get("reach"), self.many: self.initial.get(self.many, [])}
        reach = given["reach"] = given.get("reach") or ("some" if given.get(self.many) else "")
        if not reach and "reach" not in self.errors:
            self.add_error("reach", self.undecided)
        if reach == "all" and given.get(self.many):
            self.add_error(self.many, _("All of them are chosen above. Clear the ticks here, or choose “Only these”."))
        return given

    def codes(self) -> list[str] | None:
        """The chosen places: None for all."""
        return None if self.cleaned_data["reach"] == "all" else self.cleaned_data[self.many]
