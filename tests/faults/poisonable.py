"""The ASGI application with a fault: the price of a cart named poison reaches the database as one that it refuses.

The API refuses such a value. Here it is as if it did not, for the next one that nobody has thought of.
"""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from config.asgi import application
from reservations.services.holds import placing
from reservations.services.holds.placing import HoldRequest

__all__ = ["application"]
_place_holds = placing.place_holds


def _poisoned(request: HoldRequest) -> HoldRequest:
    if request.cart_id != "poison":
        return request
    lines = tuple(replace(line, unit_price=Decimal("0E-100000")) for line in request.lines)
    return replace(request, lines=lines)


def _place(requests: list[HoldRequest], *patience: Any, **more: Any) -> Any:
    return _place_holds([_poisoned(request) for request in requests], *patience, **more)


placing.place_holds = _place  # type: ignore[assignment]
