"""Scenes of transfers: send, draft, receive, redirect and cancel."""

from typing import Any, Final

from inventory.models import StockLevel
from tests.contract.scenes.stage import TENT, UNKNOWN, Asked, Stage, item, scene
from tests.contract.scenes.stock import MOST
from tests.factories import make_store, make_warehouse

_ROUTE: Final = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
_REASON: Final = {"reason": "Balancing stock"}
_TO: Final = {"toWarehouseId": "wh-003"}


def _body(quantity: int = 4, **fields: Any) -> dict[str, Any]:
    return {"items": [item(quantity, **{**_ROUTE, **fields})], **_REASON}


def _sent(stage: Stage, **fields: Any) -> dict[str, str]:
    """A transfer of 4 tents, as the name in the path."""
    if not StockLevel.objects.exists():
        stage.stock(10)
    make_warehouse("wh-003")
    return {"transferId": stage.done("POST", "transfer", {**_body(), **fields})["transferId"]}


def _draft(stage: Stage) -> dict[str, str]:
    return _sent(stage, draft=True)


def _closed(stage: Stage) -> dict[str, str]:
    names = _sent(stage)
    stage.done("POST", f"transfer/{names['transferId']}/cancel")
    return names


def _full(warehouse: str) -> None:
    """Let there be as many tents in a warehouse as may be."""
    StockLevel.objects.filter(warehouse__code=warehouse).update(on_hand=MOST)


def _of_one_end(stage: Stage, names: dict[str, str], warehouse: str) -> dict[str, str]:
    """From now on, the client's store sells from one end of the transfer alone."""
    make_store("outlet", warehouse, is_default=False)
    stage.limited("outlet")
    return names


@scene("transfer", "201")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    return Asked({**_body(), "expectedDelivery": "2150-01-01T00:00:00Z"})


_REFUSED: Final[dict[str, dict[str, Any]]] = {
    "mixed_route": {"items": [item(1, **_ROUTE), item(1, **{**_ROUTE, "toWarehouseId": "wh-003"})], **_REASON},
    "unknown_product": _body(productId=str(UNKNOWN)),
    "unknown_warehouse": _body(toWarehouseId="nowhere"),
}
for _code, _refused in _REFUSED.items():

    @scene("transfer", _code)
    def _(stage: Stage, body: dict[str, Any] = _refused) -> Asked:
        stage.stock(10)
        return Asked(body)

    @scene("changeDraftTransfer", _code)
    def _(stage: Stage, body: dict[str, Any] = _refused) -> Asked:
        return Asked(body, _draft(stage))


@scene("transfer", "insufficient_stock")
def _(stage: Stage) -> Asked:
    stage.stock(3)
    return Asked(_body())


@scene("transfer", "quantity_limit")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    stage.stock(1, "wh-002", on_hand=MOST)
    return Asked(_body())


@scene("transfer", "warehouse_inactive")
def _(stage: Stage) -> Asked:
    stage.stock(10)
    stage.close("wh-002")
    return Asked(_body())


@scene("readTransfer", "200")
def _(stage: Stage) -> Asked:
    return Asked(names=_sent(stage))


@scene("listTransfers", "200")
def _(stage: Stage) -> Asked:
    _sent(stage)
    return Asked(query="status=IN_TRANSIT")


# ------------------------------------------------------------------------------------------------------------- drafts


@scene("changeDraftTransfer", "200")
def _(stage: Stage) -> Asked:
    return Asked(_body(6), _draft(stage))


@scene("sendTransfer", "200")
def _(stage: Stage) -> Asked:
    return Asked(names=_draft(stage))


_BODY_OF: Final[dict[str, Any]] = {"changeDraftTransfer": _body(6), "sendTransfer": None}
for _operation, _sent_body in _BODY_OF.items():

    @scene(_operation, "transfer_already_sent")
    def _(stage: Stage, body: Any = _sent_body) -> Asked:
        return Asked(body, _sent(stage))

    @scene(_operation, "transfer_closed")
    def _(stage: Stage, body: Any = _sent_body) -> Asked:
        names = _draft(stage)
        stage.done("POST", f"transfer/{names['transferId']}/cancel")
        return Asked(body, names)

    @scene(_operation, "warehouse_inactive")
    def _(stage: Stage, body: Any = _sent_body) -> Asked:
        names = _draft(stage)
        stage.close("wh-002")
        return Asked(body, names)

    @scene(_operation, "warehouse_not_in_store")
    def _(stage: Stage, body: Any = _sent_body) -> Asked:
        return Asked(body, _of_one_end(stage, _draft(stage), "wh-002"))


@scene("sendTransfer", "insufficient_stock")
def _(stage: Stage) -> Asked:
    names = _draft(stage)
    StockLevel.objects.update(on_hand=3)
    return Asked(names=names)


@scene("sendTransfer", "quantity_limit")
def _(stage: Stage) -> Asked:
    names = _draft(stage)
    stage.stock(1, "wh-002", on_hand=MOST)
    return Asked(names=names)


# ------------------------------------------------------------------------------------------- receive, redirect, cancel


_RECEIVED: Final = {"items": [{"productId": str(TENT), "quantityReceived": 3}]}


@scene("receiveTransfer", "200")
def _(stage: Stage) -> Asked:
    return Asked(_RECEIVED, _sent(stage))


@scene("redirectTransfer", "200")
def _(stage: Stage) -> Asked:
    return Asked(_TO, _sent(stage))


@scene("cancelTransfer", "200")
def _(stage: Stage) -> Asked:
    return Asked({"reason": "the lorry broke down"}, _sent(stage))


_ON_THE_WAY: Final[dict[str, Any]] = {"receiveTransfer": _RECEIVED, "redirectTransfer": _TO, "cancelTransfer": {}}
for _operation, _command in _ON_THE_WAY.items():

    @scene(_operation, "transfer_closed")
    def _(stage: Stage, body: Any = _command) -> Asked:
        return Asked(body, _closed(stage))

    @scene(_operation, "warehouse_not_in_store")
    def _(stage: Stage, body: Any = _command) -> Asked:
        end = "wh-001" if body is _RECEIVED else "wh-002"
        return Asked(body, _of_one_end(stage, _sent(stage), end))


for _operation in ("receiveTransfer", "redirectTransfer"):

    @scene(_operation, "transfer_not_sent")
    def _(stage: Stage, body: Any = _ON_THE_WAY[_operation]) -> Asked:
        return Asked(body, _draft(stage))


@scene("receiveTransfer", "more_than_in_transit")
def _(stage: Stage) -> Asked:
    return Asked({"items": [{"productId": str(TENT), "quantityReceived": 5}]}, _sent(stage))


@scene("receiveTransfer", "unknown_product")
def _(stage: Stage) -> Asked:
    return Asked({"items": [{"productId": str(UNKNOWN), "quantityReceived": 1}]}, _sent(stage))


@scene("receiveTransfer", "quantity_limit")
def _(stage: Stage) -> Asked:
    names = _sent(stage)
    _full("wh-002")
    return Asked(_RECEIVED, names)


@scene("receiveTransfer", "warehouse_inactive")
def _(stage: Stage) -> Asked:
    names = _sent(stage)
    stage.close("wh-002")
    return Asked(_RECEIVED, names)


@scene("redirectTransfer", "unknown_warehouse")
def _(stage: Stage) -> Asked:
    return Asked({"toWarehouseId": "nowhere"}, _sent(stage))


@scene("redirectTransfer", "warehouse_inactive")
def _(stage: Stage) -> Asked:
    names = _sent(stage)
    stage.close("wh-003")
    return Asked(_TO, names)


@scene("redirectTransfer", "quantity_limit")
def _(stage: Stage) -> Asked:
    names = _sent(stage)
    stage.stock(1, "wh-003", on_hand=MOST)
    return Asked(_TO, names)


@scene("cancelTransfer", "quantity_limit")
def _(stage: Stage) -> Asked:
    names = _sent(stage)
    _full("wh-001")
    return Asked({}, names)
