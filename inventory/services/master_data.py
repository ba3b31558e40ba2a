"""Products, warehouses, stores and the settings of levels, as integrators keep them.

Plain rows, but with what every change of this service has: an idempotency claim and an audit entry in its transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from audit import idempotency
from audit.errors import DomainError, Fault, Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.services import Asker, Entry, record
from inventory import transactions
from inventory.catalogue import forget_catalogue
from inventory.errors import SkuTaken, UnknownProduct, UnknownWarehouse, VersionConflict
from inventory.locking import lock_levels, read_clock
from inventory.models import Freezable, Product, StockLevel, Store, StoreWarehouse, Warehouse

M = TypeVar("M", bound=Freezable)


@dataclass(frozen=True, slots=True)
class Saved:
    """A row as it is after a command."""

    row: Any
    is_new: bool


def put_product(
    asker: Asker, product_id: UUID, *, parent_id: UUID | None, claim: Claim | None, **fields: Any
) -> Saved | StoredAnswer:
    """Create a product or replace its fields. ``fields`` are those of the model.

    Raises UnknownProduct (the parent), Invalid (a variant of a variant, or of itself), SkuTaken, Busy and the errors
    of claims.
    """

    def work() -> Saved:
        _check_parent(product_id, parent_id)
        try:
            with transaction.atomic():
                return _put(Product, {"id": product_id}, {**fields, "parent_id": parent_id}, asker)
        except IntegrityError as error:
            if "sku" not in str(error):
                raise
            taken = SkuTaken(f"Another product has the SKU {fields['sku']}.")
            raise SkuTaken(taken.detail, [taken.at("/sku")]) from error

    return claimed(claim, work)


def _check_parent(product_id: UUID, parent_id: UUID | None) -> None:
    if parent_id is None:
        return
    parent = Product.objects.filter(pk=parent_id).first()
    problem: DomainError | None = None
    if parent_id == product_id:
        problem = Invalid("A product is not its own variant.")
    elif parent is None:
        problem = UnknownProduct(f"There is no product {parent_id}.")
    elif parent.parent_id is not None:
        problem = Invalid("A variant has no variants of its own.")
    elif Product.objects.filter(parent_id=product_id).exists():
        problem = Invalid("A product with variants can't become a variant.")
    if problem:
        raise type(problem)(problem.detail, [problem.at("/parentId")])


def put_warehouse(asker: Asker, code: str, *, claim: Claim | None, **fields: Any) -> Saved | StoredAnswer:
    """Create a warehouse or replace its fields. Raises Busy and the errors of claims."""
    return claimed(claim, lambda: _put(Warehouse, {"code": code}, fields, asker))


def put_store(
    asker: Asker,
    code: str,
    *,
    name: str,
    ttl_minutes: int | None,
    priorities: Mapping[str, int],
    claim: Claim | None,
    **limits: int | None,
) -> Saved | StoredAnswer:
    """Create a store or replace its fields and its warehouses (code -> priority). The first store is the default one.

    ``limits`` are those of the model; what is left out stays. Raises Invalid (holds without a window, or a window
    without holds), UnknownWarehouse, Busy and the errors of claims.
    """

    if (limits.get("max_holds_per_customer") is None) != (limits.get("hold_window_minutes") is None):
        fault = Fault("/holdWindowMinutes", Invalid.code, "both, or neither")
        raise Invalid("A limit of holds and its window go together.", [fault])

    def work() -> Saved:
        warehouses = _warehouse_ids(list(priorities))
        saved = _put(
            Store, {"code": code}, {"name": name, "ttl_minutes": ttl_minutes, **limits}, asker, dict(priorities)
        )
        if saved.is_new and not Store.objects.filter(is_default=True).exists():
            Store.objects.filter(pk=saved.row.pk).update(is_default=True)
            saved.row.is_default = True
        saved.row.sources.all().delete()
        StoreWarehouse.objects.bulk_create(
            StoreWarehouse(store=saved.row, warehouse_id=warehouses[code], priority=priority)
            for code, priority in priorities.items()
        )
        return saved

    return claimed(claim, work)


def _warehouse_ids(codes: Sequence[str]) -> dict[str, UUID]:
    """The warehouses of these codes. Raises UnknownWarehouse with a fault for each that isn't there."""
    ids = dict(Warehouse.objects.filter(code__in=codes).values_list("code", "id"))
    faults = [
        Fault(f"/warehouses/{place}/warehouseId", UnknownWarehouse.code, f"no {code}")
        for place, code in enumerate(codes)
        if code not in ids
    ]
    if faults:
        unknown = next(code for code in codes if code not in ids)
        raise UnknownWarehouse(f"There is no warehouse {unknown}.", faults)
    return ids


def set_level(
    asker: Asker,
    product_id: UUID,
    warehouse_code: str,
    *,
    changes: Mapping[str, Any],
    expected_version: int | None,
    claim: Claim | None,
) -> Saved | StoredAnswer:
    """Change settings of a stock level; ``changes`` are fields of the model other than counters. Bumps ``version``.

    Raises NotFound, VersionConflict, Busy and the errors of claims. Locks the level.
    """

    def work() -> Saved:
        seen = StockLevel.objects.visible_to(asker.store_codes)
        level = seen.filter(product_id=product_id, warehouse__code=warehouse_code).first()
        if level is None:
            raise NotFound(f"There is no stock level of {product_id} in {warehouse_code}.")
        version = lock_levels([level.id]).by_id[level.id].version
        if expected_version not in (None, version):
            raise VersionConflict(f"The level has version {version}, not {expected_version}.")
        level.refresh_from_db()
        before = {name: getattr(level, name) for name in changes}
        StockLevel.objects.filter(pk=level.pk).update(**changes, version=F("version") + 1, updated_at=read_clock())
        told = {name: [before[name], value] for name, value in changes.items()}
        record([Entry(asker, "inventory_level_changed", level.id, told)], now=read_clock())
        return Saved(StockLevel.objects.with_incoming().select_related("warehouse").get(pk=level.pk), is_new=False)

    return claimed(claim, work)


def claimed(claim: Claim | None, work: Callable[[], Saved]) -> Saved | StoredAnswer:
    """Do ``work`` in a transaction of its own, unless the claim has an answer already, and forget the catalogue.

    Raises what ``work`` raises, Busy and the errors of claims.
    """

    def once() -> Saved | StoredAnswer:
        if answer := idempotency.claim_one(claim):
            return answer
        saved = work()
        idempotency.store_all([(claim, saved)], now=read_clock())
        return saved

    saved = transactions.run(once, pipelined=False)
    forget_catalogue()
    return saved


def _put(
    model: type[M], key: dict[str, Any], fields: dict[str, Any], asker: Asker, more: dict[str, Any] | None = None
) -> Saved:
    """Create the row or replace its fields, and record what changed."""
    now = read_clock()
    rows: Any = model._default_manager
    if hasattr(model, "updated_at"):
        fields = {**fields, "updated_at": now}
    row, is_new = rows.select_for_update(no_key=True).get_or_create(**key, defaults=fields)
    told = {name: value for name, value in fields.items() if is_new or getattr(row, name) != value}
    if not is_new:
        for name, value in fields.items():
            setattr(row, name, value)
        row.save(update_fields=list(fields))
    action = f"inventory_{model._meta.model_name}_{'created' if is_new else 'changed'}"
    record([Entry(asker, action, row.pk, {**told, **(more or {})})], now=now)
    return Saved(rows.with_brakes().get(pk=row.pk), is_new)
