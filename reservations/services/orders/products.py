"""Apply events of new products: the products, their variants and an empty level of each in each warehouse."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import transaction

from audit.errors import DomainError
from inventory import transactions
from inventory.errors import UnknownWarehouse
from inventory.locking import read_clock
from inventory.models import Product, Warehouse
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.catalogue.master_data import ProductChange, ProductFields, write_products
from inventory.services.stock.levels import create_levels
from inventory.transactions import PATIENT, Patience
from reservations.models.orders import Result
from reservations.services.orders import memory
from reservations.services.orders.incoming import ProductCreatedEvent
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Received


def apply_products(events: Sequence[Received], patience: Patience = PATIENT) -> list[Outcome]:
    """Create products, each event on its own, all in one transaction.

    An existing product isn't changed; missing levels are created. A refused event writes nothing, and isn't stored as
    received, so that it can be sent again once its cause is removed. Raises Busy. Locks: the events and their products'
    ids, then the products, then new levels in the order of their products and warehouses.
    """
    outcomes = transactions.run(partial(_apply, events), patience, pipelined=False)
    forget_catalogue()
    return outcomes


def _apply(events: Sequence[Received]) -> list[Outcome]:
    outcomes = memory.lock_events(events)
    fresh = memory.undecided(events, outcomes)
    if fresh:
        try:
            decided = _create(fresh)
        except DomainError:
            decided = [outcome for each in fresh for outcome in _create_alone(each)]
        outcomes |= {each.key: outcome for each, outcome in zip(fresh, decided, strict=True)}
    return memory.outcomes_of(events, outcomes)


def _create_alone(each: Received) -> list[Outcome]:
    try:
        return _create([each])
    except DomainError as error:
        return [memory.refusal(error)]


def _create(events: Sequence[Received]) -> list[Outcome]:
    """Create the missing rows of these events, all or nothing. The number of statements doesn't depend on the
    events."""
    for each in events:
        each.actor.require_no_limit()
    by_event = [_changes(each.event) for each in events if isinstance(each.event, ProductCreatedEvent)]
    changes = {change.id: change for of_event in reversed(by_event) for change in of_event}
    places = _places(events)
    known = set(Product.objects.filter(pk__in=list(changes)).values_list("pk", flat=True))
    missing = [change for id_, change in changes.items() if id_ not in known]
    outcomes = [_outcome(of_event, known) for of_event in by_event]
    with transaction.atomic():  # Rolls back the rows written before an error.
        # A variant's parent must exist before it.
        for are_variants in (False, True):
            generation = [change for change in missing if (change.fields.parent_id in changes) is are_variants]
            if generation:
                write_products(events[0].actor, generation)
        create_levels(sorted(places))
        memory.remember(list(zip(events, outcomes, strict=True)), now=read_clock())
    return outcomes


def _outcome(changes: Sequence[ProductChange], known: set[UUID]) -> Outcome:
    if all(change.id in known for change in changes):
        return Outcome(result=Result.UNCHANGED, detail="The product exists.")
    return Outcome(result=Result.APPLIED)


def _changes(event: ProductCreatedEvent) -> list[ProductChange]:
    """The product and its variants."""
    fields = ProductFields(sku=event.sku, name=event.name, parent_id=event.parent_id, barcode=event.barcode or "")
    return [
        ProductChange(event.product_id, fields),
        *(
            ProductChange(
                each.variant_id, ProductFields(each.sku, each.name, event.product_id, barcode=each.barcode or "")
            )
            for each in event.variants or ()
        ),
    ]


def _places(events: Sequence[Received]) -> set[tuple[UUID, UUID]]:
    """The (product, warehouse) of each level that the events ask for. Without named warehouses these are all active
    ones. One query. Raises UnknownWarehouse with a fault for each."""
    warehouses = {code: (id_, active) for code, id_, active in Warehouse.objects.values_list("code", "pk", "is_active")}
    active_ids = [id_ for id_, is_active in warehouses.values() if is_active]
    places: set[tuple[UUID, UUID]] = set()
    for each in events:
        event = each.event
        assert isinstance(event, ProductCreatedEvent)  # noqa: S101 - the caller sorts the events
        for index, code in enumerate(event.warehouse_ids or ()):
            if code not in warehouses:
                raise UnknownWarehouse.at(f"/warehouseIds/{index}", f"There is no warehouse {code}.")
        named = [warehouses[code][0] for code in event.warehouse_ids] if event.warehouse_ids is not None else active_ids
        places |= {(change.id, warehouse_id) for change in _changes(event) for warehouse_id in named}
    return places
