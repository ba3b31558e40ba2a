"""What an audit entry changed, in words: fields with their values before and after, without JSON and ids."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.apps import apps
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from audit.actions import action_of, reason
from audit.display import NOTHING, shown_time
from audit.identifiers import short_id, with_short_ids
from audit.models import AuditEntry
from audit.whole_numbers import grouped

_HIDDEN: Final = frozenset({"productId", "variantId", "adjustmentId", "lineId", "updated_at", "version"})
"""Fields that say in ids what the entry is about."""
_LABELS: Final[dict[str, Promise]] = {
    "sku": gettext_lazy("SKU"),
    "parent_id": gettext_lazy("Variant of"),
    "warehouseId": gettext_lazy("Warehouse"),
    "fromWarehouseId": gettext_lazy("From"),
    "toWarehouseId": gettext_lazy("To"),
    "orderId": gettext_lazy("Order"),
    "cartId": gettext_lazy("Cart"),
    "customerId": gettext_lazy("Customer"),
    "min_stock_level": gettext_lazy("Safety stock"),
    "max_stock_level": gettext_lazy("Maximum stock"),
    "ttl_minutes": gettext_lazy("Reservation time in minutes"),
    "max_units_per_customer": gettext_lazy("Max per customer"),
    "is_active": gettext_lazy("Active"),
    "is_staff": gettext_lazy("May open this console"),
    "is_superuser": gettext_lazy("May do everything"),
    "email": gettext_lazy("E-mail"),
    "frozen_at": gettext_lazy("Frozen since"),
    "freeze_reason": gettext_lazy("Reason of the freeze"),
    "freezeOverride": gettext_lazy("Reason for moving frozen stock"),
    "items": gettext_lazy("Lines"),
}
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")
_ID: Final = re.compile(r"(?:[a-z]+-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
_MOST_VALUES: Final = 10

Names = Mapping[str, str]
NameLookup = Callable[[Collection[UUID]], Mapping[UUID, str]]
_lookups: Final[list[NameLookup]] = []


class FieldChange(NamedTuple):
    """A field that changed. ``before`` is None where only the new value is known."""

    label: str
    before: str | None
    after: str


def register_names(lookup: NameLookup) -> None:
    """Register a look-up of display names, for ids in entries."""
    _lookups.append(lookup)


def names_in(entries: Collection[AuditEntry]) -> Names:
    """The names of all ids in the changes of these entries. One query for each look-up, none without ids."""
    ids = {UUID(text) for entry in entries for text in _ids_in(entry.changes)}
    return {str(id_): name for lookup in _lookups if ids for id_, name in lookup(ids).items()}


def _ids_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        found = _ID.fullmatch(value)
        yield from [found[1].lower()] if found else []
    elif isinstance(value, dict):
        for each in value.values():
            yield from _ids_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _ids_in(each)


def changes_in_words(entry: AuditEntry, codes: Collection[str], names: Names) -> list[FieldChange]:
    """The changes of an entry, for a reader with these warehouses in reach (empty for all). An action with a sentence
    of its own has this sentence alone."""
    action = action_of(entry.action)
    if action.sentence is not reason:
        sentence = action.sentence(entry.changes, codes)
        return [FieldChange("", None, sentence)] if sentence else []
    shown = [(name, value) for name, value in entry.changes.items() if name not in _HIDDEN and value not in ("", None)]
    return [_change(name, value, names) for name, value in shown]


def _change(name: str, value: Any, names: Names) -> FieldChange:
    is_pair = isinstance(value, list) and len(value) == 2 and not any(isinstance(each, dict) for each in value)
    if is_pair or (isinstance(value, list) and _is_pair_of_documents(value)):
        return FieldChange(_label(name), *(_value(_chosen(name, each), names) for each in value))
    return FieldChange(_label(name), None, _value(_chosen(name, value), names))


@cache
def _choices() -> Mapping[tuple[str, str], Any]:
    """The words of all choices of models, by the name of the field and the code."""
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    return {(field.name, str(code)): words for field in fields for code, words in field.flatchoices}


def _chosen(name: str, value: Any) -> Any:
    """The words of a choice for its code, which is in capitals; other values as they are."""
    is_code = isinstance(value, str) and value.isupper()
    return str(_choices().get((name, value), value)) if is_code else value


def _is_pair_of_documents(value: list[Any]) -> bool:
    """Whether these are the values before and after of one field, such as an address, rather than two lines."""
    both = len(value) == 2 and all(isinstance(each, dict | None) for each in value)
    return both and not any(each and _HIDDEN & each.keys() for each in value)


def _label(name: str) -> str:
    known = _LABELS.get(name)
    if known is not None:
        return str(known)
    words = _WORD.sub(" ", name).strip().lower().removesuffix(" id")
    return (words[:1].upper() + words[1:]) if name.isidentifier() else name


def _value(value: Any, names: Names) -> str:
    if value in (None, "", [], {}):
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return ", ".join(f"{_label(name)}: {_value(each, names)}" for name, each in value.items())
    if isinstance(value, list):
        return _several(value, names)
    return grouped(value) if isinstance(value, int) else _text(str(value), names)


def _text(text: str, names: Names) -> str:
    if found := _ID.fullmatch(text):
        return names.get(found[1].lower(), short_id(found[1]))
    if _TIME.fullmatch(text):
        try:
            return shown_time(datetime.fromisoformat(text))
        except ValueError:
            return text
    return with_short_ids(text)


def _several(values: list[Any], names: Names) -> str:
    if any(isinstance(each, dict | list) for each in values):
        return ngettext("%(count)s line", "%(count)s lines", len(values)) % {"count": len(values)}
    shown = ", ".join(_value(each, names) for each in values[:_MOST_VALUES])
    more = len(values) - _MOST_VALUES
    return shown + (_(" and %(count)s more") % {"count": more} if more > 0 else "")
