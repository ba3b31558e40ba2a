"""The two warehouses of a transfer."""

from audit.actors import Actor
from audit.errors import Fault, Invalid
from inventory.errors import UnknownWarehouse, WarehouseInactive
from inventory.models import Warehouse
from inventory.services.transfers.documents import RouteEnd


def route_between(actor: Actor, source: str, destination: str) -> tuple[RouteEnd, RouteEnd]:
    """Two different warehouses, by code: one in an actor's reach, and one that it may send to. Two queries.

    Raises Invalid, UnknownWarehouse, and WarehouseInactive for a closed destination.
    """
    if source == destination:
        fault = Fault("/items/0/toWarehouseId", "invalid", "This is the warehouse that the items come from.")
        raise Invalid("A transfer must go to another warehouse.", [fault])
    start = Warehouse.objects.visible_to(actor).filter(code=source).first()
    end = Warehouse.objects.destinations_for(actor).filter(code=destination).first()
    if start is None or end is None:
        ends = (("fromWarehouseId", source, start), ("toWarehouseId", destination, end))
        pairs = [(f"/items/0/{name}", f"There is no warehouse {code}.") for name, code, found in ends if not found]
        raise UnknownWarehouse(pairs[0][1], [Fault(pointer, UnknownWarehouse.code, text) for pointer, text in pairs])
    if not end.is_active:
        detail = f"Warehouse {destination} is closed: it takes no transfers."
        raise WarehouseInactive.at("/items/0/toWarehouseId", detail)
    return RouteEnd(start.pk, source), RouteEnd(end.pk, destination)
