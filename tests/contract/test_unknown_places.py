"""A filter that names an unknown store or warehouse is refused, in every list and read."""

import pytest

from tests.conftest import Api
from tests.contract.operations import Operation, operations, resolved
from tests.contract.problems import pointers, problem
from tests.factories import make_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
CODES = {
    "warehouseId": "unknown_warehouse",
    "fromWarehouseId": "unknown_warehouse",
    "toWarehouseId": "unknown_warehouse",
    "storeId": "unknown_store",
}
OF_CARTS = ("readCart", "deleteCart")
"""In an unknown store nothing is held for a cart, which is 404."""


def filters() -> list[tuple[Operation, str]]:
    """Each operation that reads, with each of its parameters that names a place."""
    return [
        (operation, parameter["name"])
        for operation in operations().values()
        for parameter in map(resolved, operation.described.get("parameters", ()))
        if parameter["in"] == "query" and parameter["name"] in CODES and operation.id not in OF_CARTS
    ]


@pytest.mark.parametrize(("operation", "name"), filters(), ids=lambda part: getattr(part, "id", part))
def test_an_unknown_place_is_refused_in_its_parameter(api: Api, operation: Operation, name: str) -> None:
    path = operation.path.replace("{productId}", str(make_level(1).product_id))
    response = api.send(operation.method.upper(), f"{path}?{name}=nowhere")
    problem(response, 422, CODES[name])
    assert pointers(response) == [f"?{name}"]


def test_there_are_such_filters() -> None:
    assert {name for _, name in filters()} == set(CODES)
    assert len(filters()) >= 12
