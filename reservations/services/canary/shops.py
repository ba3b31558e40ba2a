"""The two ways in which the canary sells: through the services in this process, or by HTTP as a shop does."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Protocol

from django.utils import timezone

from audit import hidden
from audit.actors import Actor
from audit.authentication import issue_token
from audit.models import ApiClient, ApiToken
from audit.roles import Role
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine

TIMEOUT_SECONDS: Final = 10.0
_TOKEN_LIFE: Final = timedelta(minutes=2)
_REASON: Final = "canary"


class Shop(Protocol):
    """A way to sell a unit of the hidden product. Each step raises what goes wrong."""

    def reserve(self) -> None:
        """Hold a unit for the canary's cart."""

    def consume(self) -> None:
        """Sell it."""

    def give_back(self) -> None:
        """Return it."""


class ServiceShop:
    """Sells through the services, in this process."""

    _actor: Final = Actor(hidden.CODE, hidden.CLIENT_ID, "", "command", store_codes=(hidden.CODE,))

    def reserve(self) -> None:
        line = RequestLine(hidden.PRODUCT_ID, None, 1)
        held = place_hold(HoldRequest(actor=self._actor, lines=(line,), cart_id=hidden.CODE))
        if not isinstance(held, PlacedHold) or {item.level_id for item in held.hold.items} != {hidden.LEVEL_ID}:
            raise WrongAnswer("other goods were held")

    def consume(self) -> None:
        consume_hold(ConsumeRequest(self._actor, hidden.CODE, Selector(cart_id=hidden.CODE)))

    def give_back(self) -> None:
        line = Adjustment(hidden.PRODUCT_ID, None, hidden.CODE, 1, "RETURN", _REASON)
        apply_adjustments(AdjustRequest(actor=self._actor, adjustments=(line,)))


class WrongAnswer(Exception):
    """The service answered something else than what a shop expects."""


class HttpShop:
    """Sells by the API at an address, with a token that ends with the run."""

    def __init__(self, address: str, token: str) -> None:
        self._base = f"{address.rstrip('/')}/api/v1/inventory/"
        self._token = token
        # A proxy that the environment names is not for the service's own addresses.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def reserve(self) -> None:
        items = [{"productId": str(hidden.PRODUCT_ID), "quantity": 1}]
        answer = self._send("POST", "reserve", {"cartId": hidden.CODE, "items": items})
        if [item.get("warehouseId") for item in answer.get("items", ())] != [hidden.CODE]:
            raise WrongAnswer("other goods were held")

    def consume(self) -> None:
        self._send("POST", "consume", {"cartId": hidden.CODE, "orderId": hidden.CODE})

    def give_back(self) -> None:
        line = {"productId": str(hidden.PRODUCT_ID), "warehouseId": hidden.CODE, "quantity": 1}
        self._send("PUT", "adjust", {"adjustments": [{**line, "type": "RETURN", "reason": _REASON}]})

    def _send(self, method: str, path: str, body: Any) -> Any:
        """Send a request. Returns its answer; raises OSError (HTTPError for 4xx and 5xx) and ValueError."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, json.dumps(body).encode(), headers, method=method)  # noqa: S310
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)


@contextmanager
def shop_at(address: str) -> Iterator[Shop]:
    """The shop at an address; the services of this process if it is empty."""
    if not address:
        yield ServiceShop()
        return
    fields = {"name": hidden.CODE, "role": Role.MANAGER, "store_codes": [hidden.CODE]}
    client, _ = ApiClient.objects.get_or_create(pk=hidden.CLIENT_ID, defaults=fields)
    try:
        yield HttpShop(address, issue_token(client, expires_at=timezone.now() + _TOKEN_LIFE))
    finally:
        ApiToken.objects.filter(client=client).delete()
