"""Commands without required fields need no body: no body is treated as ``{}``."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from inventory.models import LowStockAlert, StockLevel
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import counters, make_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def done(api: Api, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    response = api.post(path, body, **headers)
    assert response.status_code in {200, 201}, response.content
    answer: dict[str, Any] = response.json()  # type: ignore[attr-defined]
    return answer


def transfer_of(api: Api, level: StockLevel, quantity: int) -> str:
    line = {"productId": str(level.product_id), "fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
    return str(done(api, "transfer", {"items": [{**line, "quantity": quantity}]})["transferId"])


def test_a_transfer_received_without_a_body_has_wholly_arrived(api: Api) -> None:
    level = make_level(10)
    received = done(api, f"transfer/{transfer_of(api, level, 4)}/receive")
    assert (received["status"], received["items"][0]["quantityReceived"]) == ("RECEIVED", 4)
    assert counters(StockLevel.objects.get(product=level.product_id, warehouse__code="wh-002")) == (4, 0)


def test_a_transfer_is_cancelled_without_a_reason(api: Api) -> None:
    level = make_level(10)
    cancelled = done(api, f"transfer/{transfer_of(api, level, 4)}/cancel")
    assert (cancelled["status"], counters(level)) == ("CANCELLED", (10, 0))


@pytest.mark.parametrize(("command", "status"), [("post", "POSTED"), ("cancel", "CANCELLED")])
def test_a_count_is_closed_without_a_body(api: Api, command: str, status: str) -> None:
    level = make_level(10)
    count = done(api, "counts", {"warehouseId": "wh-001", "scope": "ALL"})["countId"]
    api.put(f"counts/{count}/lines", {"lines": [{"productId": str(level.product_id), "counted": 10}]})
    assert done(api, f"counts/{count}/{command}")["status"] == status


def test_an_alert_is_acknowledged_without_a_note(api: Api) -> None:
    level = make_level(50, reorder_point=20)
    api.put(
        "adjust",
        {
            "adjustments": [
                {
                    "productId": str(level.product_id),
                    "warehouseId": "wh-001",
                    "quantity": 35,
                    "type": "SHIPMENT",
                    "reason": "r",
                }
            ]
        },
    )
    alert = LowStockAlert.objects.get(level=level)
    assert done(api, f"alerts/{alert.public_id}/acknowledge")["acknowledgedAt"] is not None


def test_a_freeze_is_lifted_without_a_reason(api: Api) -> None:
    path = f"/api/v1/products/{make_level(1).product_id}"
    done(api, f"{path}/freeze", {"reason": "recall"})
    assert done(api, f"{path}/unfreeze")["frozen"] is None


def test_no_body_and_another_type_of_body_are_distinguished(api: Api) -> None:
    transfer = transfer_of(api, make_level(10), 4)
    problem(api.post(f"transfer/{transfer}/receive", {}, Content_Type="text/plain"), 415, "unsupported_media_type")
    problem(api.post(f"transfer/{transfer}/receive", b" "), 400, "malformed")
    assert done(api, f"transfer/{transfer}/receive", {})["status"] == "RECEIVED"


def test_nothing_is_replayed_under_its_key(api: Api) -> None:
    transfer = transfer_of(api, make_level(10), 4)
    first = done(api, f"transfer/{transfer}/receive", Idempotency_Key="k")
    again = api.post(f"transfer/{transfer}/receive", None, Idempotency_Key="k")
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", first)  # type: ignore[attr-defined]


def test_only_these_commands_need_no_body() -> None:
    paths = SchemaGenerator().get_schema(public=True)["paths"]
    optional = {
        operation["operationId"]
        for operations in paths.values()
        for operation in operations.values()
        if not operation.get("requestBody", {"required": True})["required"]
    }
    assert optional == {
        "receiveTransfer",
        "cancelTransfer",
        "postCount",
        "cancelCount",
        "acknowledgeAlert",
        "unfreezeProduct",
        "unfreezeWarehouse",
        "unfreezeStore",
        "rotateWebhookSecret",
    }
