"""The reservations of carts and orders are listed for many requests at once, each as if it were alone."""

import json
import threading
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import hidden
from audit.authentication import find_caller, issue_token
from audit.errors import PermissionDenied
from reservations.api.holds import answers
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.services.canary import goods
from reservations.services.holds import documents
from reservations.services.holds.lists import ListRequest, list_holds
from reservations.services.holds.reading import ReadRequest, read_holds
from tests.both_ways import ask
from tests.conftest import Api, body_of
from tests.factories import ACTOR, hold, make_client, make_due, make_level, make_store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def by_the_orm(request: ListRequest) -> list[UUID]:
    """The ids that a list of the models finds."""
    found = Reservation.objects.visible_to(request.actor)
    given = {"cart_id": request.cart_id, "order_id": request.order_id}
    found = found.filter(**{name: value for name, value in given.items() if value is not None})
    return list(found.order_by("-pk").values_list("pk", flat=True)[: request.most])


def test_lists_of_many_requests_are_those_of_each_alone() -> None:
    random = Random(4)
    outlet = make_store("outlet", "wh-001", is_default=False)
    level = make_level(500)
    carts, orders = ["c-1", "c-2", "c-%", None], ["o-1", "o-2", "c-1", None]
    for _ in range(60):
        cart, order = random.choice(carts), random.choice(orders)
        if cart or order:
            store = random.choice(["main", outlet.code])
            made = hold((level, 1), cart_id=cart, order_id=order, store=store, additional=True)
            if random.random() < 0.2:
                make_due(made.id)
    asking = [msgspec.structs.replace(ACTOR, store_codes=codes) for codes in ((), ("main",), ("outlet", "main"))]
    requests = [
        ListRequest(random.choice(asking), random.randint(1, 9), cart, order)
        for cart in (*carts, "c-none")
        for order in orders
        if cart or order
        for _ in range(2)
    ]
    found = list_holds(requests)
    assert [[each.id for each in holds] for holds, _ in found] == [by_the_orm(request) for request in requests]
    assert any(len(holds) > 3 for holds, _ in found)


def test_what_the_service_holds_for_itself_is_not_listed() -> None:
    goods.prepare()
    made = hold((make_level(2), 1), cart_id="c-1")
    asked = [ListRequest(ACTOR, 9, cart_id="c-1")]
    ((holds, _),) = list_holds(asked)
    assert [each.id for each in holds] == [made.id]
    Reservation.objects.filter(pk=made.id).update(store=hidden.STORE_ID)
    ((holds, _),) = list_holds(asked)
    assert holds == []


def test_people_of_some_warehouses_get_no_list() -> None:
    limited = msgspec.structs.replace(ACTOR, warehouse_codes=("wh-001",))
    with pytest.raises(PermissionDenied):
        list_holds([ListRequest(limited, 9, cart_id="c-1")])


def test_statements_do_not_grow_with_the_requests() -> None:
    level = make_level(50)
    made = [hold((level, 1), cart_id=f"c-{number}", order_id="o") for number in range(9)]
    for some in (made[:1], made):
        with CaptureQueriesContext(connection) as listing:
            list_holds([ListRequest(ACTOR, 9, each.cart_id, "o") for each in some])
        with CaptureQueriesContext(connection) as reading:
            read_holds([ReadRequest(ACTOR, each.id) for each in some])
        assert (len(listing), len(reading)) == (2, 1)


def test_reads_of_many_requests_are_those_of_each_alone() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(50)
    made = [hold((level, 1), (make_level(5), 2), store=code) for code in ("main", "outlet", "main")]
    make_due(made[2].id)
    actors = [msgspec.structs.replace(ACTOR, store_codes=codes) for codes in ((), ("outlet",))]
    actors.append(msgspec.structs.replace(ACTOR, warehouse_codes=()))
    requests = [ReadRequest(actor, id_) for actor in actors for id_ in (*(each.id for each in made), uuid4())]
    read = documents.read_holds([each.id for each in made])
    for request, outcome in zip(requests, read_holds(requests), strict=True):
        expected = read.get(request.reservation_id)
        if expected is None or not expected.is_within_reach_of(request.actor):
            assert isinstance(outcome, ReservationNotFound)
        else:
            assert isinstance(outcome, tuple)
            assert outcome[0] == expected
            assert outcome[0].is_due(outcome[1]) == (expected.id == made[2].id)


def test_pages_of_a_cart_follow_each_other(api: Api) -> None:
    level = make_level(9)
    made = [hold((level, 1), cart_id="c-1").public_id for _ in range(5)]
    seen, query = [], "cartId=c-1&limit=2"
    while query:
        page = body_of(api.get(f"reservations?{query}"))
        seen += [item["reservationId"] for item in page["items"]]
        query = f"cartId=c-1&limit=2&cursor={page['next']}" if page["next"] else ""
    assert seen == made[::-1]


@pytest.mark.django_db(transaction=True)
def test_the_page_of_a_cart_is_not_made_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        hold((make_level(1), 1), cart_id="cart")
    token = issue_token(make_client())
    assert find_caller(token)
    read, made_in = answers.read, list[str]()

    def noting(*arguments: Any) -> Any:
        made_in.append(threading.current_thread().name.rpartition("_")[0])
        return read(*arguments)

    monkeypatch.setattr(answers, "read", noting)
    status, _, body = ask(token, "/api/v1/inventory/reservations?cartId=cart", b"", method="GET")
    assert (status, len(json.loads(body)["items"])) == (200, 3)
    assert made_in == ["reader"] * 3
