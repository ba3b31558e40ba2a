"""The stores and warehouses that filters of lists name, by their codes. Each check is one query."""

from uuid import UUID

from audit.actors import Actor
from inventory.errors import UnknownStore, UnknownWarehouse
from inventory.models import Store, Warehouse


def require_store(actor: Actor, code: str | None, pointer: str = "?storeId") -> None:
    """Raise UnknownStore, with a fault, for a store that doesn't exist or is out of reach. None names none."""
    if code is not None and not Store.objects.visible_to(actor).filter(code=code).exists():
        raise UnknownStore.at(pointer, f"There is no store {code}.")


def store_ids(actor: Actor, code: str | None) -> list[UUID]:
    """The ids of the stores in an actor's reach; with a code, of that one alone. Raises as ``require_store`` does."""
    require_store(actor, code)
    found = Store.objects.visible_to(actor)
    return list((found if code is None else found.filter(code=code)).values_list("pk", flat=True))


def require_warehouse(actor: Actor, code: str | None, pointer: str = "?warehouseId") -> None:
    """Raise UnknownWarehouse, with a fault, for a warehouse that doesn't exist or is out of reach. None names none."""
    if code is not None:
        warehouse_id(actor, code, pointer)


def warehouse_id(actor: Actor, code: str, pointer: str = "?warehouseId") -> UUID:
    """The id of a warehouse. Raises as ``require_warehouse`` does."""
    found = Warehouse.objects.visible_to(actor).filter(code=code).values_list("pk", flat=True).first()
    if found is None:
        raise UnknownWarehouse.at(pointer, f"There is no warehouse {code}.")
    return found


def require_existing_warehouse(code: str | None, pointer: str) -> None:
    """``require_warehouse`` for one end of a transfer, which may be out of reach while the other is within it."""
    if code is not None and not Warehouse.objects.filter(code=code).exists():
        raise UnknownWarehouse.at(pointer, f"There is no warehouse {code}.")
