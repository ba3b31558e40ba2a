"""Lists for programs that keep a copy: by ids and by store (docs/reference/api.md#lists)."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from audit.roles import Role
from tests.config.synced_lists import LISTS, PRODUCTS, ids_in, listed, receipt
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import hold, make_level, make_product, make_store, make_variant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# ------------------------------------------------------------------------------------------------------------------ ids


def test_lists_are_filtered_by_ids_and_leave_unknown_ones_out(api: Api) -> None:
    levels = [make_level(10) for _ in range(3)]
    made = [hold((level, 1)).public_id for level in levels]
    products = [str(level.product_id) for level in levels]
    chosen = f"{made[2]},{made[0].upper().replace('RES', 'res')},{made[0]}, res-{uuid7()}"
    assert ids_in(api, "reservations", ids=chosen) == [made[2], made[0]], "the newest first, each once"
    chosen = f"{products[2].upper()},{products[0]},{products[2]},{uuid7()}"
    assert ids_in(api, PRODUCTS, ids=chosen, limit=1) == [products[0], products[2]]
    assert [item["productId"] for item in listed(api, "levels", ids=chosen, limit=1)] == [products[0], products[2]]
    for path in LISTS:
        start = "res-" if path == "reservations" else ""
        assert listed(api, path, ids=f"{start}{uuid7()}") == []


def test_levels_of_a_parent_are_those_of_its_variants_too(api: Api) -> None:
    parent, other = make_level(5), make_level(5)
    variants = [make_variant(parent.product) for _ in range(2)]
    for variant in variants:
        api.put("adjust", {"adjustments": [receipt(variant)]})
    assert len(listed(api, "levels", ids=parent.product_id)) == 3
    assert [item["variantId"] for item in listed(api, "levels", ids=variants[0].pk)] == [str(variants[0].pk)]
    assert len(listed(api, "levels", ids=f"{variants[0].pk},{other.product_id}")) == 2


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("ids", "named"),
    [
        ("", "has “”"),
        ("{id},", "has “”"),
        ("{id},,{id}", "has “”"),
        ("TENT-2P", "has “TENT-2P”"),
        ("{id};{id}", "separated by commas"),
        ("{{{id}}}", "separated by commas"),
        ("tr-{bare}", "separated by commas"),
        ("{other}", "separated by commas"),
        ("{id},%00", "NUL"),
        ("{many}", "takes at most 200 ids, but has 201"),
        ("null", "null"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_with_what_one_looks_like(api: Api, path: str, ids: str, named: str) -> None:
    bare = str(uuid7())
    id_, other = (f"res-{bare}", bare) if path == "reservations" else (bare, f"res-{bare}")
    sent = ids.format(id=id_, bare=bare, other=other, many=",".join([id_] * 201))
    refused = problem(api.get(f"{path}?ids={sent}"), 400, "invalid")
    assert refused["errors"][0]["pointer"] == "?ids"
    text = refused["errors"][0]["detail"]
    assert named in text or named in refused["detail"]
    if named == "separated by commas":
        assert "such as `res-" in text if path == "reservations" else "such as `0" in text


@pytest.mark.parametrize("path", LISTS)
def test_two_hundred_ids_are_taken(api: Api, path: str) -> None:
    start = "res-" if path == "reservations" else ""
    assert listed(api, path, ids=",".join(f"{start}{uuid7()}" for _ in range(200))) == []


# --------------------------------------------------------------------------------------------------------------- stores


def test_lists_are_filtered_by_store(api: Api, make_api: Callable[..., Api]) -> None:
    make_store("other", "wh-009", is_default=False)
    here, there, parent = make_level(10), make_level(10, "wh-009"), make_product()
    variant = make_variant(parent)
    api.put("adjust", {"adjustments": [receipt(variant)]})
    make_product()
    of_main, of_other = hold((here, 1)), hold((there, 1), store="other")
    assert ids_in(api, "reservations", storeId="main") == [of_main.public_id]
    assert ids_in(api, "reservations", storeId="other") == [of_other.public_id]
    assert set(ids_in(api, PRODUCTS, storeId="main")) == {str(here.product_id), str(parent.pk), str(variant.pk)}
    assert ids_in(api, PRODUCTS, storeId="other") == [str(there.product_id)]
    limited = make_api(Role.CHECKOUT, stores=("other",))
    for path in LISTS:
        assert listed(limited, path, storeId="other"), path
        for code in ("main", "nothing"):
            problem(limited.get(f"{path}?storeId={code}"), 422, "unknown_store")
            problem(limited.get(f"{path}?storeId={code}&updatedSince=2020-01-01T00:00:00Z"), 422, "unknown_store")
        problem(api.get(f"{path}?storeId=nothing"), 422, "unknown_store")
    since = of_main.created_at - timedelta(minutes=1)
    assert ids_in(limited, "reservations", updatedSince=since) == [of_other.public_id]
    assert ids_in(limited, "reservations", ids=f"{of_main.public_id},{of_other.public_id}") == [of_other.public_id]
    assert ids_in(limited, "levels", ids=f"{here.product_id},{there.product_id}", updatedSince=since) == ["wh-009"]


def test_products_of_a_store_are_the_same_by_few_and_by_many(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_level(1)
    variant = make_variant(make_product())
    api.put("adjust", {"adjustments": [receipt(variant)]})
    make_product()
    few = ids_in(api, PRODUCTS, storeId="main")
    monkeypatch.setattr("inventory.models.catalogue_querysets._FEW_OF_STORES", 0)
    assert ids_in(api, PRODUCTS, storeId="main") == few
    assert len(few) == 3
