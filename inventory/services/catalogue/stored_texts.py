"""Stored texts that would be refused or changed if they were entered today, and SKUs that several products share.

The migration cleans what it can. What is left was not to be decided without a person: another row has the clean text,
or nothing would be left of it. Movements and audit entries are append-only, and not looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Model, Q

from audit.models import ApiClient
from audit.texts import RefusedCharacter, clean_code, clean_line
from inventory.codes import barcode_key, sku_key
from inventory.models import AdjustmentReason, Product, StockLevel, Store, Warehouse

_Cleaned = Mapping[str, Callable[[str], str]]
_UNCLEAN: Final = r"^ | $|[^ -~]"
"""What may not be clean: a blank at an end, or anything but printable ASCII."""


@dataclass(frozen=True, slots=True)
class TextFinding:
    """A stored text to be changed by a person: which row and field has it, what is wrong, and what to do."""

    row: str
    field: str
    text: str
    fault: str
    advice: str


def text_findings() -> Iterator[TextFinding]:
    """All findings: codes that are shared against the rules, then unclean texts, by table."""
    yield from _same_skus()
    for kind in (Product, Warehouse, Store, StockLevel, AdjustmentReason, ApiClient, get_user_model()):
        for field, clean in _FIELDS[kind._meta.label].items():
            yield from _unclean(kind, field, clean)


def shared_codes() -> Iterator[tuple[str, list[str]]]:
    """The codes that several products have as SKU or barcode, each with the SKUs of these products."""
    having: dict[str, set[str]] = defaultdict(set)
    for sku, barcode in Product.objects.values_list("sku", "barcode").iterator():
        for key in {barcode_key(sku), barcode_key(barcode)} - {""}:
            having[key].add(sku)
    for key, skus in sorted(having.items()):
        if len(skus) > 1:
            yield key, sorted(skus)


_LINES: Final[_Cleaned] = {"name": clean_line}
_FIELDS: Final[Mapping[str, _Cleaned]] = {
    "inventory.Product": {"sku": clean_code, "barcode": clean_code, **_LINES},
    "inventory.Warehouse": _LINES,
    "inventory.Store": _LINES,
    "inventory.StockLevel": {"zone": clean_code, "aisle": clean_code, "shelf": clean_code},
    "inventory.AdjustmentReason": {"text": clean_line},
    "audit.ApiClient": _LINES,
    "auth.User": {"username": clean_line, "first_name": clean_line, "last_name": clean_line},
}
_ADVICE: Final = {
    "audit.ApiClient": "Make a client with a clean name, move its program to a token of it, and revoke the old tokens.",
    "auth.User": "Save the account in the console with a clean name.",
}


def _same_skus() -> Iterator[TextFinding]:
    """Products whose SKUs are the same, and products whose keys don't fit their codes."""
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = Product.objects.order_by("sku_twin", "id").values_list("pk", "sku", "sku_key", "barcode", "barcode_key")
    for id_, sku, key_of_sku, barcode, key_of_barcode in rows.iterator():
        alike[sku_key(sku)].append((str(id_), sku))
        if (key_of_sku, key_of_barcode) != (sku_key(sku), barcode_key(barcode)):
            fault = "was not saved by the service, so that its codes are not found"
            yield TextFinding(f"product {id_}", "sku", sku, fault, "Save the product in the console.")
    for (first, spelled), *others in alike.values():
        for other, sku in others:
            fault = f"is the same as {spelled!a} of product {first}"
            yield TextFinding(f"product {other}", "sku", sku, fault, "Give one of the two another SKU.")


def _unclean(kind: type[Model], field: str, clean: Callable[[str], str]) -> Iterator[TextFinding]:
    found: Any = kind._default_manager.filter(Q(**{f"{field}__regex": _UNCLEAN})).order_by("pk")
    for id_, text in found.values_list("pk", field).iterator():
        if fault := _fault_of(text, clean):
            advice = _ADVICE.get(kind._meta.label, "Save it in the console, or by the API, with a clean text.")
            yield TextFinding(f"{kind._meta.verbose_name} {id_}", field, text, fault, advice)


def _fault_of(text: str, clean: Callable[[str], str]) -> str:
    """What is wrong with a stored text, as a predicate; empty if nothing is."""
    try:
        cleaned = clean(text)
    except RefusedCharacter as refused:
        return str(refused).partition(", ")[0]
    return "" if cleaned == text else f"would be {cleaned!a} today"
