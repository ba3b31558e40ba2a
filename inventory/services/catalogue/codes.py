"""Codes of products: which products have one, and that no SKU is given twice (docs/explanation/rules.md, rule 34)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext

from audit.db import columns
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
    UPC-A is its EAN-13. One query, ``MOST_PRODUCTS`` products at most.
    """
    # Limited here: with a limit, a prepared statement comes to walk all products where few have a barcode.
    found = list(Product.objects.coded(code).select_related("parent").order_by("sku"))[:MOST_PRODUCTS]
    keys = set(sku_keys(code))
    return sorted(found, key=lambda product: product.sku_key not in keys)


_KNOWN: Final = "SELECT sku_key, sku, id, parent_id FROM inventory_product WHERE sku_key = ANY(%s) ORDER BY sku"


_SHARING: Final = """
SELECT product.id, sku, barcode_key FROM unnest(%s::text[]) AS t (key)
JOIN inventory_product product ON product.barcode_key = t.key
UNION
SELECT product.id, sku, barcode_key FROM unnest(%s::text[]) AS t (key)
JOIN inventory_product product ON product.sku_key = t.key
"""
_MOST_IDS: Final = 50_000
"""The most ids in one query: PostgreSQL takes 65,535 parameters."""


class KnownSku(NamedTuple):
    """A product with a SKU as it spells it."""

    sku: str
    id: UUID
    parent_id: UUID | None


def skus_known(skus: Iterable[str]) -> dict[str, list[KnownSku]]:
    """The products of SKUs as a file spells them, by these spellings. Unknown SKUs are left out. One query.

    There are several products only for a SKU that they had in more than one case before that was refused, and only if
    none of them spells it as the file does.
    """
    keys = {sku: sku_key(sku) for sku in skus if sku}
    found: dict[str, list[KnownSku]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [columns.texts(set(keys.values()))])
        for key, *product in cursor.fetchall():
            found.setdefault(key, []).append(KnownSku(*product))
    return {
        sku: [product for product in found[key] if product.sku == sku] or found[key]
        for sku, key in keys.items()
        if key in found
    }


def products_by_sku(skus: Iterable[str]) -> dict[str, list[Product]]:
    """As ``skus_known``, with whole products and their parents. Two queries."""
    known = skus_known(skus)
    ids = list({each.id for products in known.values() for each in products})
    products: dict[UUID, Product] = {}
    for start in range(0, len(ids), _MOST_IDS):
        products |= Product.objects.select_related("parent").in_bulk(ids[start : start + _MOST_IDS])
    return {sku: [products[each.id] for each in found] for sku, found in known.items()}


def several_words(skus: Iterable[str]) -> str:
    """The fault of a SKU that several products have, as a predicate."""
    words = gettext("is the SKU of several products: %(skus)s. Write it exactly as one of them does")
    return words % {"skus": ", ".join(skus)}


def skus_sharing(codes: Mapping[UUID, tuple[str, str]]) -> dict[UUID, list[str]]:
    """The SKUs of the other products that have one of a product's codes, by product. ``codes`` are the SKU and the
    barcode of each product, as they are or would be; products that share none are left out. One query.
    """
    own = {product_id: {barcode_key(code) for code in both if code} for product_id, both in codes.items()}
    having: dict[str, set[str]] = {}
    for product_id, keys in own.items():
        for key in keys:
            having.setdefault(key, set()).add(codes[product_id][0])
    spellings = {sku for key in having for sku in sku_keys(key)}
    with connection.cursor() as cursor:
        cursor.execute(_SHARING, [columns.texts(having), columns.texts(spellings)])
        others = [(sku, key) for product_id, sku, key in cursor.fetchall() if product_id not in codes]
    for sku, key in others:
        for each in {barcode_key(sku), key} & having.keys():
            having[each].add(sku)
    found = {product_id: {sku for key in keys for sku in having[key]} for product_id, keys in own.items()}
    return {product_id: sorted(skus - {codes[product_id][0]}) for product_id, skus in found.items() if len(skus) > 1}


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
            label = "SKU" if name == "sku" else name
            try:
                cleaned[name] = clean(fields[name])
            except RefusedCharacter as error:
                faults.append(Fault(f"/{name}", Invalid.code, f"The {label} {error}."))
            if name in _NEEDED and not cleaned[name]:
                faults.append(Fault(f"/{name}", Invalid.code, f"The {label} is empty."))
    if faults:
        raise Invalid(faults[0].detail, faults)
    return cleaned
