"""The dialog that changes the settings of all selected stock levels at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import multiple_choice, text_field
from audit.console.dialogs import DialogForm
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.numbers import WholeNumberField
from audit.console.texts import CodeField
from audit.console.wording import LazyText
from audit.display import NOTHING
from audit.idempotency import Claim, StoredAnswer
from inventory.admin.stock.row_dialogs import ChosenDialog
from inventory.models import QUANTITY_LIMIT, StockLevel
from inventory.services.stock.level_settings import LevelChange, SetLevels, set_levels

_UNITS: Final[dict[str, Any]] = {
    "reorder_point": _("Reorder point"),
    "reorder_quantity": _("Reorder quantity"),
    "min_stock_level": _("Safety stock"),
    "max_stock_level": _("Maximum stock"),
}
_PLACE: Final[dict[str, Any]] = {"zone": _("Zone"), "aisle": _("Aisle"), "shelf": _("Shelf")}
_LABELS: Final = {**_UNITS, **_PLACE}
_NOTHING: Final[dict[str, Any]] = {
    **dict.fromkeys(_UNITS),
    "min_stock_level": 0,
    **dict.fromkeys(_PLACE, ""),
}
"""The value of each setting after clearing it."""


def _units(name: str, least: int, help_text: Any) -> WholeNumberField:
    return WholeNumberField(
        label=_UNITS[name], min_value=least, max_value=QUANTITY_LIMIT, required=False, help_text=help_text
    )


class SettingsForm(EditForm):
    """The new settings of all rows. A field left empty doesn't change the setting."""

    reorder_point = _units("reorder_point", 0, _("Units at which it is low on stock."))
    reorder_quantity = _units("reorder_quantity", 1, _("Units to order then."))
    min_stock_level = _units("min_stock_level", 0, _("Units that are not sold to shoppers."))
    max_stock_level = _units("max_stock_level", 1, _("Units of a full level."))
    zone = text_field(10, kind=CodeField, label=_PLACE["zone"])
    aisle = text_field(10, kind=CodeField, label=_PLACE["aisle"])
    shelf = text_field(10, kind=CodeField, label=_PLACE["shelf"])
    clear = multiple_choice(_LABELS.items(), label=_("Clear"), help_text=_("Tick the settings to clear in all rows."))

    def changes(self) -> dict[str, Any]:
        """The settings to change, by the model's fields."""
        given = {name: value for name in _LABELS if (value := self.cleaned_data.get(name)) not in (None, "")}
        return given | {name: _NOTHING[name] for name in self.cleaned_data.get("clear", ())}

    def clean(self) -> dict[str, Any]:
        """Require at least one change, and no setting that is both set and cleared."""
        given = super().clean() or self.cleaned_data
        for name in given.get("clear", ()):
            if given.get(name) not in (None, ""):
                self.add_error(name, _("This is ticked under Clear as well: do one or the other."))
        point, most = given.get("reorder_point"), given.get("max_stock_level")
        if point is not None and most is not None and point > most:
            self.add_error("reorder_point", _("The reorder point is above the maximum stock."))
        if not self.errors and not self.changes():
            self.add_error(None, _("Enter at least one value."))
        return given


class SettingsDialog(ChosenDialog[SetLevels], EditDialog[SetLevels]):
    """Change the settings of the selected rows, all or none."""

    title = _("Set the chosen rows")
    intro = _("Values you enter are set in all of these rows. Fields you leave empty are not changed.")
    permission = "inventory.change_stocklevel"
    form_class = SettingsForm
    template = "console/stock/settings.html"

    changes: Mapping[str, Any] = {}
    """The settings that the sent form changes, by the model's fields."""

    def rows(self) -> Sequence[StockLevel]:
        return self.levels

    def values(self, row: Any) -> Mapping[LazyText, str]:
        """The settings; of a sent form those that it changes."""
        level = next(each for each in self.levels if each.pk == row.pk)
        place = f"{level.product.sku} {level.warehouse.code}"
        given = {name: getattr(row, name) for name in self.changes or _LABELS}
        return {
            f"{place}, {_LABELS[name]}": NOTHING if value in (None, "") else str(value) for name, value in given.items()
        }

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> SetLevels | StoredAnswer:
        wanted = [
            LevelChange(level.product_id, level.warehouse.code, given["changes"], precondition=self.unchanged)
            for level in self.levels
        ]
        return set_levels(actor, wanted, claim=claim)

    def _claim(self, form: DialogForm) -> Claim:
        assert isinstance(form, SettingsForm)  # noqa: S101 - for the type checker: there is no other
        self.changes = form.changes()
        form.cleaned_data |= {"changes": self.changes, "levels": [str(level.pk) for level in self.levels]}
        return super()._claim(form)

    def tell(self, result: SetLevels) -> str:
        message = ngettext("%(count)s row set: %(what)s.", "%(count)s rows set: %(what)s.", len(result.ids))
        return message % {"count": len(result.ids), "what": ", ".join(map(self._change_text, self.changes.items()))}

    @staticmethod
    def _change_text(change: tuple[str, Any]) -> str:
        name, value = change
        return f"{_LABELS[name]} {gettext('none') if value in (None, '') else value}"
