"""Scenes of the refusals that operations share, each with one of them."""

import time
from typing import Any, Final

from django.conf import settings

from audit.authentication import issue_token
from audit.roles import Role
from config import throttling
from reservations.services.availability import availability
from reservations.services.holds.limits import cart_lock
from tests.conftest import Api
from tests.contract.scenes.stage import Asked, Scene, Stage, item
from tests.factories import make_client

_BODY: Final = {"orderId": "order-1001", "items": [item(2)]}


def _invalid(stage: Stage) -> Asked:
    return Asked({"orderId": "order-1001", "items": [item(0)], "colour": "red"})


def _malformed(stage: Stage) -> Asked:
    return Asked(b'{"orderId": "order-1001", "items": [')


def _not_authenticated(stage: Stage) -> Asked:
    return Asked(_BODY, headers={"Authorization": "Bearer wrong"})


def _permission_denied(stage: Stage) -> Asked:
    stage.api = Api(issue_token(make_client(Role.WAREHOUSE)))
    return Asked(_BODY)


def _too_large(stage: Stage) -> Asked:
    return Asked(b" " * (settings.BODY_LIMIT_BYTES + 1))


def _unsupported_media_type(stage: Stage) -> Asked:
    return Asked(b"orderId=order-1001", headers={"Content-Type": "application/x-www-form-urlencoded"})


def _throttled(stage: Stage) -> Asked:
    stage.patch.setattr(settings, "THROTTLE_REQUESTS_PER_MINUTE", 1)
    stage.patch.setattr(throttling._requests, "_ends_at", time.time() + 59)  # Each minute counts from 0 again.
    for _ in range(3):
        stage.api.post("check-availability", {"items": [item(1)]})
    return Asked(_BODY)


def _busy(stage: Stage) -> Asked:
    stage.stock(10)
    stage.patch.setattr(settings, "LOCK_TIMEOUT", 0.1)
    stage.rival.execute("SELECT pg_advisory_lock(%s)", [cart_lock("cart-1")])
    return Asked({"items": [item(2)]}, {"cartId": "cart-1"})


def _internal_error(stage: Stage) -> Asked:
    def fails(*_: Any) -> None:
        raise RuntimeError("a defect")

    stage.patch.setattr(availability, "check_all", fails)
    return Asked({"items": [item(1)]})


SHARED: Final[dict[str, tuple[str, Scene]]] = {
    "busy": ("putCart", _busy),
    "internal_error": ("checkAvailability", _internal_error),
    "invalid": ("reserve", _invalid),
    "malformed": ("reserve", _malformed),
    "not_authenticated": ("reserve", _not_authenticated),
    "permission_denied": ("reserve", _permission_denied),
    "throttled": ("reserve", _throttled),
    "too_large": ("reserve", _too_large),
    "unsupported_media_type": ("reserve", _unsupported_media_type),
}
"""The scenes by code, each with the operation that is sent."""
