"""Codes of products: which products have one, and that no SKU is given twice (docs/explanation/rules.md, rule 34)."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from audit.errors import DomainError, Fault, Invalid
from audit.texts import RefusedCharacter, clean_code, clean_line
from inventory.codes import barcode_key, sku_key, sku_keys
from inventory.errors import SkuTaken
from inventory.models import Product

MOST_PRODUCTS: Final = 50
"""The most products of one code that are shown to choose from."""
_CLEANED: Final[Mapping[str, Callable[[str], str]]] = {"sku": clean_code, "barcode": clean_code, "name": clean_line}
_NEEDED: Final = frozenset({"sku", "name"})


def products_by_code(code: str) -> list[Product]:
    """All products that have this code: those with it as SKU first, then those with it as barcode, each by SKU.

    None for an unknown code; more than one means that a person must say which. The case of a SKU doesn't matter, and a
    UPC-A is its EAN-13. One query, ``MOST_PRODUCTS`` rows at most.
    """
    found = list(Product.objects.coded(code).select_related("parent").order_by("sku")[:MOST_PRODUCTS])
    keys = set(sku_keys(code))
    return sorted(found, key=lambda product: product.sku_key not in keys)


def products_by_sku(skus: Iterable[str]) -> dict[str, list[Product]]:
    """The products of SKUs as a file spells them, by these spellings: one, or several for a SKU that products had in
    more than one case before that was refused. The exact spelling then decides. Unknown SKUs are left out. One query.
    """
    keys = {sku: sku_key(sku) for sku in skus}
    found: dict[str, list[Product]] = {}
    for product in Product.objects.filter(sku_key__in=set(keys.values())).select_related("parent").order_by("sku"):
        found.setdefault(product.sku_key, []).append(product)
    return {sku: chosen(sku, found[key]) for sku, key in keys.items() if key in found}


def chosen(sku: str, products: list[Product]) -> list[Product]:
    """Of several products with this SKU, the one that spells it so; all if none does."""
    return [product for product in products if product.sku == sku] or products


def products_sharing(codes: Mapping[UUID, Collection[str]]) -> dict[UUID, list[Product]]:
    """The other products that have one of a product's codes, by product and in the order of SKUs. ``codes`` are the
    SKU and the barcode of each product; products that share none are left out. One query.
    """
    wanted = {product_id: {barcode_key(code) for code in own if code} for product_id, own in codes.items()}
    keys = {key for own in wanted.values() for key in own}
    skus = {spelling for key in keys for spelling in sku_keys(key)}
    rows = Product.objects.filter(Q(barcode_key__in=keys) | Q(sku_key__in=skus)).order_by("sku")
    having: dict[str, list[Product]] = {}
    for product in rows:
        for key in {barcode_key(product.sku), product.barcode_key} & keys:
            having.setdefault(key, []).append(product)
    found = {
        product_id: {other.pk: other for key in own for other in having.get(key, ()) if other.pk != product_id}
        for product_id, own in wanted.items()
    }
    return {
        product_id: sorted(others.values(), key=lambda product: product.sku)
        for product_id, others in found.items()
        if others
    }


def sku_faults(skus: Mapping[UUID, str]) -> dict[UUID, DomainError]:
    """The errors of products that would get the SKU of another one, by id. ``skus`` are the SKUs to be, by product.
    Products that share a SKU already may keep it. One query.
    """
    keys = {product_id: sku_key(sku) for product_id, sku in skus.items()}
    rows = list(Product.objects.filter(sku_key__in=set(keys.values())).values_list("sku_key", "pk", "sku"))
    having: dict[str, dict[UUID, str]] = {}
    for product_id, key in keys.items():
        having.setdefault(key, {})[product_id] = skus[product_id]
    for key, product_id, sku in rows:
        having[key][product_id] = sku
    had = {(key, product_id) for key, product_id, _sku in rows}
    return {
        product_id: SkuTaken(f"Another product has the SKU {_other(having[key], product_id)}.")
        for product_id, key in keys.items()
        if len(having[key]) > 1 and (key, product_id) not in had
    }


def _other(skus: Mapping[UUID, str], product_id: UUID) -> str:
    """The SKU of another of these products, as that product spells it."""
    return next(sku for other, sku in skus.items() if other != product_id)


def settle_twins(keys: Sequence[str], *product_ids: UUID) -> None:
    """After products got other SKUs: products that are alone with theirs now aren't twins any more. ``keys`` are the
    keys that were given up, ``product_ids`` the products. One statement, none if no key was given up.
    """
    if not keys:
        return
    others = Product.objects.filter(sku_key=OuterRef("sku_key")).exclude(pk=OuterRef("pk"))
    twins = Product.objects.filter(sku_twin__gt=0)
    twins = twins.filter(sku_key__in=keys) | twins.filter(pk__in=product_ids)
    twins.filter(~Exists(others)).update(sku_twin=0)


def clean_texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with clean texts. Raises Invalid, with a fault for each text that has a refused character or is empty
    though it is needed.
    """
    cleaned, faults = dict(fields), []
    for name, clean in _CLEANED.items():
        if name in fields:
            try:
                cleaned[name] = clean(fields[name])
            except RefusedCharacter as error:
                faults.append(Fault(f"/{name}", Invalid.code, str(error)))
            if name in _NEEDED and not cleaned[name]:
                faults.append(Fault(f"/{name}", Invalid.code, "is empty"))
    if faults:
        raise Invalid(f"The {faults[0].pointer[1:]} {faults[0].detail}.", faults)
    return cleaned
