"""A freeze refuses new holds on every path, and has no other effect."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.errors import DomainError
from inventory.errors import Freeze, Frozen, InsufficientStock, ProductFrozen, StoreFrozen, WarehouseFrozen
from inventory.models import Product, StockLevel, Store, Warehouse
from inventory.services.catalogue import freezing
from inventory.services.catalogue.freezing import Subject
from inventory.services.catalogue.lookup import forget_catalogue
from reservations.services.availability.availability import Query, check_availability
from reservations.services.holds.baskets import empty_basket, put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold, place_holds, plan_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.conftest import Api
from tests.factories import ACTOR, counters, hold, hold_request, lines, make_due, make_level, make_product, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
ERRORS: dict[str, type[Frozen]] = {"product": ProductFrozen, "warehouse": WarehouseFrozen, "store": StoreFrozen}


@pytest.fixture
def level() -> StockLevel:
    return make_level(10)


@pytest.fixture(params=["product", "parent", "warehouse", "store"])
def subject(request: Any, level: StockLevel) -> Subject:
    """Each kind of subject whose freeze blocks new holds of ``level``."""
    if request.param == "parent":
        parent = make_product()
        Product.objects.filter(pk=level.product_id).update(parent=parent)
        return freezing.product(parent.id)
    return {
        "product": freezing.product(level.product_id),
        "warehouse": freezing.warehouse("wh-001"),
        "store": freezing.store("main"),
    }[request.param]


def pinned(level: StockLevel, quantity: int = 1, **fields: Any) -> HoldRequest:
    """A request whose warehouse is named."""
    line = RequestLine(level.product_id, None, quantity, "wh-001")
    return HoldRequest(**{"actor": ACTOR, "lines": (line,), "cart_id": "c", **fields})


def freeze(subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="a recall")


def refused(work: Callable[[], Any]) -> DomainError:
    with pytest.raises(DomainError) as error:
        work()
    return error.value


@pytest.mark.parametrize("decide", [place_hold, plan_hold, put_basket])
def test_no_new_hold_is_made(level: StockLevel, subject: Subject, decide: Callable[[HoldRequest], Any]) -> None:
    freeze(subject)
    error = refused(lambda: decide(pinned(level)))
    assert type(error) is ERRORS[subject.kind]
    assert [fault.facts for fault in error.faults] == [{"reason": "a recall", "until": None}]
    assert counters(level) == (10, 0)


def test_a_late_payment_reacquires_nothing(level: StockLevel, subject: Subject) -> None:
    old = place_hold(pinned(level))
    assert isinstance(old, PlacedHold)
    make_due(old.hold.id)
    freeze(subject)
    request = ConsumeRequest(ACTOR, "order", Selector(old.hold.id), reacquire=True)
    error = refused(lambda: consume_hold(request))
    assert type(error) is ERRORS[subject.kind]
    assert [fault.pointer for fault in error.faults] == ["/reservationId"]
    freezing.unfreeze(ACTOR, subject)
    assert isinstance(consume_hold(request), Resolved)


def test_what_is_held_is_extended_sold_and_given_back(level: StockLevel, subject: Subject) -> None:
    holds = [hold((level, 2)) for _ in range(2)]
    freeze(subject)
    for each in holds:
        assert extend_hold(ExtendRequest(ACTOR, Selector(each.id), 5))
    assert isinstance(consume_hold(ConsumeRequest(ACTOR, "order", Selector(holds[0].id))), Resolved)
    assert isinstance(release_hold(ReleaseRequest(ACTOR, Selector(holds[1].id))), Resolved)
    assert counters(level) == (8, 0)


def test_a_basket_shrinks_and_is_emptied_and_does_not_grow(level: StockLevel, subject: Subject) -> None:
    put_basket(pinned(level, 5))
    freeze(subject)
    assert isinstance(put_basket(pinned(level, 3)), PlacedHold)
    assert type(refused(lambda: put_basket(pinned(level, 4)))) is ERRORS[subject.kind]
    assert counters(level) == (10, 3)
    assert empty_basket(ReleaseRequest(ACTOR, Selector(cart_id="c")))
    assert counters(level) == (10, 0)


def test_a_basket_grows_by_what_is_not_frozen(level: StockLevel) -> None:
    other = make_level(10)
    put_basket(pinned(level, 5))
    freeze(freezing.product(level.product_id))
    kept, grown = (RequestLine(each.product_id, None, 5, "wh-001") for each in (level, other))
    assert put_basket(HoldRequest(ACTOR, (kept, grown), cart_id="c"))
    assert (counters(level), counters(other)) == ((10, 5), (10, 5))


def test_a_frozen_product_does_not_affect_others(level: StockLevel) -> None:
    other = make_level(10)
    freeze(freezing.product(level.product_id))
    wrong, right = place_holds([hold_request((level, 1)), hold_request((other, 1))])
    assert isinstance(wrong, ProductFrozen)
    assert isinstance(right, PlacedHold)


def test_sourcing_skips_a_frozen_warehouse(level: StockLevel) -> None:
    receive(level.product_id, 3, "wh-002")
    freeze(freezing.warehouse("wh-001"))
    for decide in (plan_hold, place_hold):
        outcome = decide(hold_request((level, 2)))
        assert isinstance(outcome, PlacedHold)
        assert [item.warehouse for item in outcome.hold.items] == ["wh-002"]
    error = refused(lambda: place_hold(hold_request((level, 2))))
    assert isinstance(error, InsufficientStock)
    assert [short.available for short in error.shortages] == [1]


def test_a_late_payment_is_sourced_from_another_warehouse(level: StockLevel) -> None:
    old = hold((level, 2))
    make_due(old.id)
    receive(level.product_id, 3, "wh-002")
    freeze(freezing.warehouse("wh-001"))
    resolved = consume_hold(ConsumeRequest(ACTOR, "order", Selector(old.id), reacquire=True))
    assert isinstance(resolved, Resolved)
    assert [item.warehouse for item in resolved.holds[0].items] == ["wh-002"]


@pytest.mark.parametrize("warehouse", [None, "wh-001"])
def test_nothing_is_available_of_it(level: StockLevel, subject: Subject, warehouse: str | None) -> None:
    query = Query(level.product_id, None, 1, warehouse)
    assert check_availability(ACTOR, None, [query])[0].status == "AVAILABLE"
    freeze(subject)
    (answer,) = check_availability(ACTOR, None, [query])
    assert (answer.status, answer.available) == ("OUT_OF_STOCK", 0)
    freezing.unfreeze(ACTOR, subject)
    assert check_availability(ACTOR, None, [query])[0].available == 10


# --- who froze it, and when it ends ----------------------------------------------------------------------------------


def freeze_elsewhere(subject: Subject, until: str = "NULL") -> None:
    """Freeze as another process would: this process's caches are not cleared."""
    key = "id" if subject.kind == "product" else "code"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {subject.model._meta.db_table} SET frozen_at = now() - interval '1 day', "
            f"frozen_until = {until}, freeze_reason = 'elsewhere' WHERE {key} = %s",
            [subject.key],
        )


def test_what_another_process_freezes_is_refused_at_once_but_for_a_store(level: StockLevel, subject: Subject) -> None:
    place_hold(pinned(level))
    freeze_elsewhere(subject)
    if subject.kind == "store":
        assert place_hold(pinned(level))
        forget_catalogue()
    error = refused(lambda: place_hold(pinned(level)))
    assert type(error) is ERRORS[subject.kind]
    assert isinstance(error, Frozen)
    assert [fault.facts["reason"] for fault in error.faults] == ["elsewhere"]


def test_what_another_process_freezes_is_skipped_at_once(level: StockLevel) -> None:
    receive(level.product_id, 3, "wh-002")
    place_hold(hold_request((level, 1)))
    freeze_elsewhere(freezing.warehouse("wh-001"))
    outcome = place_hold(hold_request((level, 1)))
    assert isinstance(outcome, PlacedHold)
    assert [item.warehouse for item in outcome.hold.items] == ["wh-002"]


def test_what_another_process_lifts_is_held_at_once(level: StockLevel, subject: Subject) -> None:
    freeze(subject)
    refused(lambda: place_hold(pinned(level)))
    for model in (Product, Warehouse, Store):
        model.objects.update(frozen_at=None, freeze_reason="")
    assert place_hold(pinned(level))


@pytest.mark.parametrize(("until", "is_frozen"), [("now() + interval '1 hour'", True), ("now()", False)])
def test_a_freeze_ends_by_itself(level: StockLevel, subject: Subject, until: str, *, is_frozen: bool) -> None:
    freeze_elsewhere(subject, until)
    query = Query(level.product_id, None, 1, None)
    assert check_availability(ACTOR, None, [query])[0].available == (0 if is_frozen else 10)
    for _ in range(2):
        if is_frozen:
            assert type(refused(lambda: place_hold(pinned(level)))) is ERRORS[subject.kind]
        else:
            assert place_hold(pinned(level))


def test_a_refusal_has_the_reason_and_the_end(api: Api, level: StockLevel, subject: Subject) -> None:
    place_hold(pinned(level))
    body = {"reason": "a recall", "until": "2100-01-01T00:00:00Z"}
    assert api.post(f"/api/v1/{subject.kind}s/{subject.key}/freeze", body).status_code == 200
    asked = lines((level, 1), warehouseId="wh-001")
    for path in ("reserve", "reserve?dryRun=true"):
        answer = api.post(path, {"cartId": "c", "items": asked})
        problem = answer.json()  # type: ignore[attr-defined]
        assert (answer.status_code, problem["code"]) == (409, f"{subject.kind}_frozen")
        (error,) = problem["errors"]
        assert body.items() <= error.items()
        assert error["pointer"] == ("/storeId" if subject.kind == "store" else "/items/0")
        assert problem["detail"].endswith("is frozen until 2100-01-01T00:00:00Z: a recall.")
    answer = api.post("check-availability", {"items": lines((level, 1))})
    assert answer.json()["items"][0]["status"] == "OUT_OF_STOCK"  # type: ignore[attr-defined]


def test_words_of_a_freeze_are_the_end_of_a_sentence() -> None:
    assert (Freeze("", None).words(), Freeze("why", None).words()) == (".", ": why.")


def test_a_parents_freeze_is_returned_if_the_variant_has_none() -> None:
    parent = make_product()
    variant = make_product(parent=parent)
    level = receive(variant.id, 5)
    for subject, reason in ((freezing.product(parent.id), "of parent"), (freezing.product(variant.id), "of variant")):
        freezing.freeze(ACTOR, subject, reason=reason)
        error = refused(lambda: hold((level, 1)))
        assert [fault.facts["reason"] for fault in error.faults] == [reason]


def test_dead_holds_of_a_frozen_product_are_swept_for_others(level: StockLevel) -> None:
    old: Hold = hold((level, 10))
    make_due(old.id)
    freeze(freezing.product(level.product_id))
    refused(lambda: hold((level, 1)))
    freezing.unfreeze(ACTOR, freezing.product(level.product_id))
    assert hold((level, 10)).id != old.id


def test_an_unknown_product_stays_unknown_in_a_frozen_store(level: StockLevel) -> None:
    freeze(freezing.store("main"))
    error = refused(lambda: place_hold(HoldRequest(ACTOR, (RequestLine(uuid7(), None, 1),), cart_id="c")))
    assert error.code == "unknown_product"
