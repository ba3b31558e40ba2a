"""Scenes of the catalogue: products, warehouses, stores, and their freezes."""

from typing import Any, Final

from inventory.services.catalogue import freezing
from tests.contract.scenes.stage import FAR, NEW, TENT, UNKNOWN, Asked, Stage, scene
from tests.factories import ACTOR

_PRODUCT: Final = {"sku": "LAMP-1", "name": "Camping lamp", "barcode": "4006381333931"}
_WAREHOUSE: Final = {"name": "Main Warehouse", "type": "MAIN", "address": {"city": "Berlin"}}
_STORE: Final = {"name": "Web shop", "warehouses": [{"warehouseId": "wh-001", "priority": 1}], "ttlMinutes": 20}
_NAMES: Final = {
    "Product": {"productId": str(TENT)},
    "Warehouse": {"warehouseId": "wh-001"},
    "Store": {"storeId": "main"},
}
_NEW: Final = {
    "Product": {"productId": str(NEW)},
    "Warehouse": {"warehouseId": "wh-009"},
    "Store": {"storeId": "outlet"},
}
_BODIES: Final[dict[str, dict[str, Any]]] = {"Product": _PRODUCT, "Warehouse": _WAREHOUSE, "Store": _STORE}
_SUBJECTS: Final = {
    "Product": freezing.product(TENT),
    "Warehouse": freezing.warehouse("wh-001"),
    "Store": freezing.store("main"),
}


def _scenes_of(noun: str) -> None:
    """The successes of a kind of row: list, read, create, replace, freeze and unfreeze."""

    @scene(f"list{noun}s", "200")
    def _(stage: Stage) -> Asked:
        return Asked(query="limit=2")

    @scene(f"read{noun}", "200")
    def _(stage: Stage) -> Asked:
        return Asked(names=_NAMES[noun])

    @scene(f"put{noun}", "201")
    def _(stage: Stage) -> Asked:
        return Asked(_BODIES[noun], _NEW[noun])

    @scene(f"put{noun}", "200")
    def _(stage: Stage) -> Asked:
        return Asked(_BODIES[noun], _NAMES[noun])

    @scene(f"put{noun}", "version_conflict")
    def _(stage: Stage) -> Asked:
        return Asked(_BODIES[noun], _NAMES[noun], headers={"If-Match": '"999"'})

    @scene(f"freeze{noun}", "200")
    def _(stage: Stage) -> Asked:
        return Asked({"reason": "recall of batch 7", "until": FAR}, _NAMES[noun])

    @scene(f"unfreeze{noun}", "200")
    def _(stage: Stage) -> Asked:
        freezing.freeze(ACTOR, _SUBJECTS[noun], reason="recall of batch 7")
        return Asked({"reason": "all sound"}, _NAMES[noun])


for _noun in _NAMES:
    _scenes_of(_noun)


@scene("putProduct", "sku_taken")
def _(stage: Stage) -> Asked:
    return Asked({**_PRODUCT, "sku": "tent-2p"}, _NEW["Product"])


@scene("putProduct", "unknown_product")
def _(stage: Stage) -> Asked:
    return Asked({**_PRODUCT, "parentId": str(UNKNOWN)}, _NEW["Product"])


@scene("putStore", "unknown_warehouse")
def _(stage: Stage) -> Asked:
    return Asked({**_STORE, "warehouses": [{"warehouseId": "nowhere", "priority": 1}]}, _NAMES["Store"])
