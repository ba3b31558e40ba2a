"""Products and warehouses, as maintained by integrators and staff, and what stores share with them.

Every change supports an idempotency claim and writes an audit entry in its transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from audit import idempotency
from audit.actions import Action
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import Progress, batches, no_progress, write
from audit.errors import DomainError, Invalid, VersionConflict
from audit.events import OutboxRow
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.publishing import publish
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.codes import barcode_key, sku_key
from inventory.errors import SkuTaken, UnknownProduct
from inventory.locking import read_clock
from inventory.models import Freezable, Product, StockLevel, Store, Warehouse
from inventory.services.catalogue.changed_events import product_changed, publish_changed
from inventory.services.catalogue.codes import clean_texts, settle_twins, sku_faults
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.low_stock.alerts import judge_at_once

M = TypeVar("M", bound=Freezable)
R = TypeVar("R")

_ACTIONS: Final[Mapping[type[Freezable], tuple[Action, Action]]] = {
    Product: (actions.PRODUCT_CREATED, actions.PRODUCT_CHANGED),
    Warehouse: (actions.WAREHOUSE_CREATED, actions.WAREHOUSE_CHANGED),
    Store: (actions.STORE_CREATED, actions.STORE_CHANGED),
}
"""The actions of creating and of changing a row, by model."""
_JUDGED_AT_A_TIME: Final = 1000


@dataclass(frozen=True, slots=True)
class Saved:
    """A row after a command, and whether it is new."""

    row: Any
    is_new: bool


def put_product(
    actor: Actor,
    product_id: UUID,
    *,
    parent_id: UUID | None,
    claim: Claim | None,
    precondition: Precondition = last_write_wins,
    **fields: Any,
) -> Saved | StoredAnswer:
    """Create a product or replace its fields. ``fields`` are those of the model; texts are cleaned.

    Raises PermissionDenied, UnknownProduct (the parent), Invalid (a variant of a variant, or of itself; a text with a
    refused character), SkuTaken, VersionConflict (the precondition's), Busy and the errors of claims. Locks the
    product.
    """
    fields = clean_texts(fields)

    def work() -> Saved:
        actor.require_no_limit()
        if problem := family_faults({product_id: parent_id}).get(product_id):
            raise type(problem).at("/parentId", problem.detail)
        if taken := sku_faults({product_id: fields["sku"]}):
            raise SkuTaken.at("/sku", taken[product_id].detail)
        given = {**fields, "parent_id": parent_id}
        before = list(Product.objects.filter(pk=product_id).values_list("sku_key", flat=True))
        try:
            with transaction.atomic():
                saved = put_row(Product, {"id": product_id}, given, actor, precondition=precondition)
        except IntegrityError as error:
            if "sku" not in str(error):
                raise
            raise SkuTaken.at("/sku", f"Another product has the SKU {fields['sku']}.") from error
        settle_twins([key for key in before if key != saved.row.sku_key], product_id)
        publish_changed(saved.row)
        return saved

    saved = claimed(claim, work)
    _judge_stock_of([product_id])
    return saved


def _judge_stock_of(product_ids: Sequence[UUID]) -> None:
    """Open and resolve alerts of these products and their variants at once, after a change of what may be sold."""
    for start in range(0, len(product_ids), _JUDGED_AT_A_TIME):
        ids = product_ids[start : start + _JUDGED_AT_A_TIME]
        # A subquery: a condition on the products' parents beside one on the levels would read all levels.
        family = Product.objects.filter(Q(pk__in=ids) | Q(parent__in=ids))
        judge_at_once(StockLevel.objects.filter(product__in=family.values("pk")))


@dataclass(frozen=True, slots=True)
class ProductFields:
    """The fields of a product that users set."""

    sku: str
    name: str
    parent_id: UUID | None = None
    barcode: str = ""
    is_active: bool = True
    listing_expires_at: datetime | None = None
    max_units_per_customer: int | None = None


def fields_of(product: Product) -> ProductFields:
    """The current fields of a product."""
    return ProductFields(**{each.name: getattr(product, each.name) for each in dataclass_fields(ProductFields)})


@dataclass(frozen=True, slots=True)
class ProductChange:
    """The desired fields of a product; an unknown id makes a new product.

    ``seen`` are the fields as the actor saw them: the change is refused if they differ by now.
    """

    id: UUID
    fields: ProductFields
    seen: ProductFields | None = None

    @property
    def changes_sale(self) -> bool:
        """Whether the change may decide anew if the product or its variants can be sold."""
        names = ("is_active", "listing_expires_at", "parent_id")
        return self.seen is None or any(getattr(self.seen, name) != getattr(self.fields, name) for name in names)


@dataclass(frozen=True, slots=True)
class SavedProducts:
    """The numbers of products that were created and changed."""

    created: int
    changed: int


def put_products(
    actor: Actor,
    changes: Sequence[ProductChange],
    *,
    claim: Claim | None,
    progress: Progress = no_progress,
) -> SavedProducts | StoredAnswer:
    """Create many products or replace their fields: all or none. No product may occur twice. ``progress`` is called
    with the number of products done so far.

    Raises VersionConflict, UnknownProduct (a parent), Invalid (a variant of a variant, or of itself) and SkuTaken, each
    with a fault at ``/products/<index>`` for each product, PermissionDenied, Busy and the errors of claims. Locks
    the products by id.
    """
    saved = claimed(claim, lambda: write_products(actor, changes, progress))
    _judge_stock_of([change.id for change in changes if change.changes_sale])
    return saved


def write_products(actor: Actor, changes: Sequence[ProductChange], progress: Progress = no_progress) -> SavedProducts:
    """The inner service; requires an open transaction. A handful of statements for each 5,000 products."""
    actor.require_no_limit()
    changes = _clean_changes(changes)
    ids = [change.id for change in changes]
    known: dict[UUID, Product] = {
        row.pk: row for row in Product.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    }
    _check_changes(changes, known)
    now = read_clock()
    new = sorted((change for change in changes if change.id not in known), key=lambda change: change.fields.sku)
    old = [change for change in changes if change.id in known]
    done = 0
    try:
        with transaction.atomic():
            for statement, rows in ((_INSERT_PRODUCTS, new), (_UPDATE_PRODUCTS, old)):
                for batch in batches(rows):
                    write(statement, [now, *_product_columns(batch)])
                    record([_product_entry(actor, change, known.get(change.id)) for change in batch], now=now)
                    publish([_product_event(change) for change in batch], now=now)
                    done += len(batch)
                    progress(done)
    except IntegrityError as error:
        if "sku" not in str(error):
            raise
        raise SkuTaken("Another product got one of these SKUs just now.") from error
    renamed = [change for change in old if known[change.id].sku_key != sku_key(change.fields.sku)]
    settle_twins([known[change.id].sku_key for change in renamed], *(change.id for change in renamed))
    return SavedProducts(len(new), len(old))


def _clean_changes(changes: Sequence[ProductChange]) -> list[ProductChange]:
    """Raises Invalid, with a fault for each product."""
    cleaned, faults = [], []
    for index, change in enumerate(changes):
        try:
            cleaned.append(replace(change, fields=ProductFields(**clean_texts(asdict(change.fields)))))
        except Invalid as error:
            faults.append(error.fault(f"/products/{index}"))
    if faults:
        raise Invalid(faults[0].detail, faults)
    return cleaned


def _check_changes(changes: Sequence[ProductChange], known: Mapping[UUID, Product]) -> None:
    """Raise the first kind of error found, with a fault for each product that has it."""
    stale = [
        VersionConflict(f"The product {change.fields.sku} has changed since it was read.")
        if change.seen and (change.id not in known or fields_of(known[change.id]) != change.seen)
        else None
        for change in changes
    ]
    _raise_any(stale)
    family = family_faults({change.id: change.fields.parent_id for change in changes})
    _raise_any([family.get(change.id) for change in changes])
    taken = sku_faults({change.id: change.fields.sku for change in changes})
    _raise_any([taken.get(change.id) for change in changes])


def _raise_any(errors: Sequence[DomainError | None]) -> None:
    """Raise the first error, with the faults of all errors of its kind."""
    first = next((error for error in errors if error), None)
    if first:
        faults = [
            error.fault(f"/products/{i}") for i, error in enumerate(errors) if error and type(error) is type(first)
        ]
        raise type(first)(first.detail, faults)


def family_faults(parents: Mapping[UUID, UUID | None]) -> dict[UUID, DomainError]:
    """The errors of products' parents, by product, checked as if all products had these parents already.

    Two queries at most.
    """
    given = {parent_id for parent_id in parents.values() if parent_id}
    if not given:
        return {}
    grandparents: dict[UUID, UUID | None] = dict(Product.objects.filter(pk__in=given).values_list("pk", "parent_id"))
    grandparents.update(parents)
    variants = [product_id for product_id, parent_id in parents.items() if parent_id]
    others = Product.objects.filter(parent_id__in=variants).exclude(pk__in=list(parents))
    with_variants = given | set(others.values_list("parent_id", flat=True))
    found: dict[UUID, DomainError] = {}
    for product_id in variants:
        parent_id = parents[product_id]
        if parent_id == product_id:
            found[product_id] = Invalid("A product is not its own variant.")
        elif parent_id not in grandparents:
            found[product_id] = UnknownProduct(f"There is no product {parent_id}.")
        elif grandparents[parent_id] is not None:
            found[product_id] = Invalid("A variant has no variants of its own.")
        elif product_id in with_variants:
            found[product_id] = Invalid("A product with variants can't become a variant.")
    return found


_COLUMNS: Final = (
    "sku, sku_key, name, parent_id, barcode, barcode_key, is_active, listing_expires_at, max_units_per_customer"
)
_GIVEN: Final = f"""
unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::bool[],
    %s::timestamptz[], %s::int[])
AS t (id, {_COLUMNS})
"""
_INSERT_PRODUCTS: Final = f"INSERT INTO inventory_product (updated_at, id, {_COLUMNS}) SELECT %s, t.* FROM {_GIVEN}"  # noqa: S608 - constants only
_UPDATE_PRODUCTS: Final = f"""
UPDATE inventory_product AS product SET updated_at = %s, sku = t.sku, sku_key = t.sku_key, name = t.name,
    parent_id = t.parent_id, barcode = t.barcode, barcode_key = t.barcode_key, is_active = t.is_active,
    listing_expires_at = t.listing_expires_at, max_units_per_customer = t.max_units_per_customer
FROM {_GIVEN} WHERE product.id = t.id
"""  # noqa: S608 - constants only


def _product_columns(changes: Sequence[ProductChange]) -> list[bytes]:
    rows = [change.fields for change in changes]
    return [
        columns.uuids(change.id for change in changes),
        columns.texts(row.sku for row in rows),
        columns.texts(sku_key(row.sku) for row in rows),
        columns.texts(row.name for row in rows),
        columns.uuids(row.parent_id for row in rows),
        columns.texts(row.barcode for row in rows),
        columns.texts(barcode_key(row.barcode) for row in rows),
        columns.bools(row.is_active for row in rows),
        columns.times(row.listing_expires_at for row in rows),
        columns.optional_ints(row.max_units_per_customer for row in rows),
    ]


def _product_entry(actor: Actor, change: ProductChange, before: Product | None) -> Entry:
    """The audit entry of a product's change, the same as for a single product: the fields that changed."""
    after = asdict(change.fields)
    changes = {name: value for name, value in after.items() if before is None}
    if before:
        had = {name: getattr(before, name) for name in after}
        changes = {name: [had[name], value] for name, value in after.items() if had[name] != value}
    return Entry(actor, actions.PRODUCT_CHANGED if before else actions.PRODUCT_CREATED, change.id, changes)


def _product_event(change: ProductChange) -> OutboxRow:
    fields = change.fields
    return product_changed(
        change.id,
        fields.parent_id,
        sku=fields.sku,
        name=fields.name,
        active=fields.is_active,
        until=fields.listing_expires_at,
    )


def put_warehouse(
    actor: Actor, code: str, *, claim: Claim | None, precondition: Precondition = last_write_wins, **fields: Any
) -> Saved | StoredAnswer:
    """Create a warehouse or replace its fields; texts are cleaned.

    Raises Invalid (a refused character), PermissionDenied, VersionConflict (the precondition's), Busy and the errors of
    claims. Locks the warehouse.
    """
    fields = clean_texts(fields)

    def work() -> Saved:
        actor.require_no_limit()
        saved = put_row(Warehouse, {"code": code}, fields, actor, precondition=precondition)
        publish_changed(saved.row)
        return saved

    saved = claimed(claim, work)
    judge_at_once(StockLevel.objects.filter(warehouse__code=code))
    return saved


def claimed(claim: Claim | None, work: Callable[[], R]) -> R | StoredAnswer:
    """Run ``work`` in a transaction of its own, or return the claim's stored answer; then clear the catalogue's cache.

    Raises what ``work`` raises, Busy and the errors of claims.
    """

    def once() -> R | StoredAnswer:
        if answer := idempotency.claim_one(claim):
            return answer
        saved = work()
        idempotency.store_all([(claim, saved)], now=read_clock())
        return saved

    saved = transactions.run(once, pipelined=False)
    forget_catalogue()
    return saved


def put_row(
    model: type[M],
    key: dict[str, Any],
    fields: dict[str, Any],
    actor: Actor,
    *,
    precondition: Precondition,
    more: Mapping[str, Any] | None = None,
) -> Saved:
    """Create the row or replace its fields, and record the changed fields, with ``more`` in the audit entry.

    Requires an open transaction. Raises VersionConflict (the precondition's). Locks the row.
    """
    now = read_clock()
    rows: Any = model._default_manager
    if hasattr(model, "updated_at"):
        fields = {**fields, "updated_at": now}
    row, is_new = rows.select_for_update(no_key=True).get_or_create(**key, defaults=fields)
    precondition(None if is_new else row)
    changes = dict(fields)
    if not is_new:
        had = {name: getattr(row, name) for name in fields}
        changes = {name: [had[name], value] for name, value in fields.items() if had[name] != value}
        for name, value in fields.items():
            setattr(row, name, value)
        row.save(update_fields=list(fields))
    created, changed = _ACTIONS[model]
    record([Entry(actor, created if is_new else changed, row.pk, {**changes, **(more or {})})], now=now)
    return Saved(rows.with_freezes().get(pk=row.pk), is_new)
