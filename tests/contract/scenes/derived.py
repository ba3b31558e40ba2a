"""Scenes that follow from an operation's successful one: the same with an unknown id, a used key, an old version."""

from typing import Final

from audit.idempotency import advisory_lock
from audit.models import IdempotencyKey
from tests.contract.operations import Operation, documented_codes
from tests.contract.scenes.stage import UNKNOWN, Asked, Scene, Stage

KEY: Final = "0f9c2a9e-checkout-1001"
_UNKNOWN: Final = {
    "productId": str(UNKNOWN),
    "warehouseId": "nowhere",
    "storeId": "nowhere",
    "transferId": f"tr-{UNKNOWN}",
    "countId": f"cnt-{UNKNOWN}",
    "incidentId": f"inc-{UNKNOWN}",
    "alertId": f"alr-{UNKNOWN}",
    "webhookId": f"hook-{UNKNOWN}",
}
_NO_NAME: Final = "%00"
"""A name that nothing has: what creates or looks up by any text has no other 404."""


def derived_scenes(operation: Operation, own: dict[str, Scene]) -> dict[str, Scene]:
    """The scenes that follow from an operation's own."""
    success = next((scene for answer, scene in sorted(own.items(), reverse=True) if answer[0] == "2"), None)
    if success is None:
        return {}
    makers = {
        "not_found": _of_unknown,
        "idempotency_key_reused": _with_used_key,
        "idempotency_in_progress": _with_key_in_use,
        "version_conflict": _with_old_version,
    }
    codes = documented_codes(operation)
    return {code: make(operation, success) for code, make in makers.items() if code in codes and code not in own}


def _of_unknown(operation: Operation, success: Scene) -> Scene:
    def scene(stage: Stage) -> Asked:
        asked = success(stage)
        creates = operation.id.startswith("put") or "cartId" in asked.names or "reservationId" in asked.names
        last = list(asked.names)[-1]
        name = _NO_NAME if creates else _UNKNOWN[last]
        return asked._replace(names={**asked.names, last: name})

    return scene


def _with_used_key(operation: Operation, success: Scene) -> Scene:
    def scene(stage: Stage) -> Asked:
        IdempotencyKey.objects.create(client_id=stage.client.id, key=KEY, fingerprint=b"other", status=200, body=b"{}")
        return success(stage)._replace(headers={"Idempotency-Key": KEY})

    return scene


def _with_key_in_use(operation: Operation, success: Scene) -> Scene:
    def scene(stage: Stage) -> Asked:
        asked = success(stage)
        lock = advisory_lock("idempotency", str(stage.client.id), KEY)
        stage.rival.execute("SELECT pg_advisory_lock(%s)", [lock])
        return asked._replace(headers={"Idempotency-Key": KEY})

    return scene


def _with_old_version(operation: Operation, success: Scene) -> Scene:
    def scene(stage: Stage) -> Asked:
        return success(stage)._replace(headers={"If-Match": '"999"'})

    return scene
