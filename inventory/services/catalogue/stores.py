"""Stores, as maintained by integrators and staff: their fields, and the warehouses that they sell from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from audit.actors import Actor
from audit.errors import Fault, Invalid
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from inventory.errors import UnknownWarehouse
from inventory.models import Store, StoreWarehouse, Warehouse
from inventory.services.catalogue.changed_events import publish_changed
from inventory.services.catalogue.codes import clean_texts
from inventory.services.catalogue.master_data import Saved, claimed, put_row


def put_store(
    actor: Actor,
    code: str,
    *,
    name: str,
    ttl_minutes: int | None,
    priorities: Mapping[str, int],
    claim: Claim | None,
    precondition: Precondition = last_write_wins,
    **limits: int | None,
) -> Saved | StoredAnswer:
    """Create a store or replace its fields and its warehouses (code -> priority). The first store is the default one.

    ``limits`` are fields of the model; omitted ones stay unchanged. The name is cleaned. Raises Invalid (holds without
    a window, or a window without holds; a refused character), PermissionDenied, UnknownWarehouse, VersionConflict (the
    precondition's), Busy and the errors of claims. Locks the store.
    """
    named = clean_texts({"name": name})
    if (limits.get("max_holds_per_customer") is None) != (limits.get("hold_window_minutes") is None):
        fault = Fault(
            "/holdWindowMinutes", Invalid.code, "Send both `maxHoldsPerCustomer` and `holdWindowMinutes`, or neither."
        )
        raise Invalid("The limit of holds and its window must be set together.", [fault])

    def work() -> Saved:
        actor.require_no_limit()
        warehouses = _warehouse_ids(list(priorities))
        fields = {**named, "ttl_minutes": ttl_minutes, **limits}
        saved = put_row(Store, {"code": code}, fields, actor, precondition=precondition, more=priorities)
        if saved.is_new and not Store.objects.filter(is_default=True).exists():
            Store.objects.filter(pk=saved.row.pk).update(is_default=True)
        _set_sources(saved.row, {warehouses[code]: priority for code, priority in priorities.items()})
        publish_changed(saved.row)
        return replace(saved, row=Store.objects.with_freezes().get(pk=saved.row.pk))

    return claimed(claim, work)


def _set_sources(store: Store, priorities: Mapping[UUID, int]) -> None:
    """Let a store, which is locked, sell from these warehouses alone. Writes only what differs."""
    before = dict(store.sources.values_list("warehouse_id", "priority"))
    store.sources.exclude(warehouse_id__in=priorities).delete()
    StoreWarehouse.objects.bulk_create(
        (
            StoreWarehouse(store=store, warehouse_id=warehouse_id, priority=priority)
            for warehouse_id, priority in priorities.items()
            if before.get(warehouse_id) != priority
        ),
        update_conflicts=True,
        unique_fields=["store", "warehouse"],
        update_fields=["priority"],
    )


def _warehouse_ids(codes: Sequence[str]) -> dict[str, UUID]:
    """The ids of the warehouses with these codes. Raises UnknownWarehouse with a fault for each unknown code."""
    ids = dict(Warehouse.objects.filter(code__in=codes).values_list("code", "id"))
    faults = [
        Fault(f"/warehouses/{place}/warehouseId", UnknownWarehouse.code, f"There is no warehouse {code}.")
        for place, code in enumerate(codes)
        if code not in ids
    ]
    if faults:
        unknown = next(code for code in codes if code not in ids)
        raise UnknownWarehouse(f"There is no warehouse {unknown}.", faults)
    return ids
