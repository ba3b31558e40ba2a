"""Lists of many rows: what no index orders is sorted among the first rows, and what none finds is searched for in the
newest; the page says so, and leads on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.console import lists
from audit.models import IdempotencyKey, OutboxEvent
from tests.config.test_trails import ENTRIES, MOVEMENTS, listed, write_entry, write_movement
from tests.factories import hold, make_level, make_store
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

LEVELS = reverse("admin:inventory_stocklevel_changelist")
RESERVATIONS = reverse("admin:reservations_reservation_changelist")
EVENTS = reverse("admin:audit_outboxevent_changelist")
KEYS = reverse("admin:audit_idempotencykey_changelist")


@pytest.fixture
def three_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.console.base.COUNTED_AT_MOST", 3)
    monkeypatch.setattr(lists, "SORTED_AT_MOST", 3)
    monkeypatch.setattr(lists, "SORTED_WHOLE", 0)


@pytest.mark.usefixtures("three_are_many")
def test_order_without_an_index_sorts_the_first_rows_and_says_so(manager: Client) -> None:
    levels = sorted((make_level(on_hand) for on_hand in (5, 9, 7, 1, 99)), key=lambda level: level.product.sku)
    first = levels[:3]
    on_hand = "o=3"
    for order, is_reversed in ((on_hand, False), ("o=-3", True)):
        answer = manager.get(f"{LEVELS}?{order}")
        shown = [level.pk for level in answer.context_data["cl"].result_list]
        assert shown == [level.pk for level in sorted(first, key=lambda level: level.on_hand, reverse=is_reversed)], (
            order
        )
        assert "Sorted among the first 3 rows" in answer.content.decode()
    by_sku = manager.get(f"{LEVELS}?o=-1")
    assert [level.pk for level in by_sku.context_data["cl"].result_list] == [level.pk for level in levels[::-1]]
    assert "Sorted among" not in by_sku.content.decode()


def test_list_of_a_usual_size_is_sorted_as_a_whole(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.console.base.COUNTED_AT_MOST", 3)
    levels = [make_level(on_hand) for on_hand in (5, 9, 7, 1, 99)]
    answer = manager.get(f"{LEVELS}?o=-3")
    highest = max(levels, key=lambda level: level.on_hand)
    assert answer.context_data["cl"].result_list[0].pk == highest.pk
    assert "Sorted among" not in answer.content.decode()


def test_pages_of_many_rows_are_the_same_and_join_no_row_before_them(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = sorted((make_level(1) for _ in range(27)), key=lambda level: level.product.sku)
    shown: list[list[Any]] = []
    for most in (1000, 1):
        monkeypatch.setattr(lists, "_KEYS_FIRST", most)
        for page in (1, 2):
            found = manager.get(LEVELS, {"p": page}).context_data["cl"].result_list
            shown.append([level.pk for level in found])
    assert shown[:2] == shown[2:]
    assert shown[0] + shown[1] == [level.pk for level in levels]


@pytest.mark.usefixtures("three_are_many")
def test_orders_of_reservations_sort_the_newest(manager: Client) -> None:
    level = make_level(50)
    made = [hold((level, quantity)) for quantity in (5, 1, 4, 2, 3)]
    newest = sorted(made, key=lambda made_: made_.id, reverse=True)[:3]
    for column in range(1, 9):
        for sign in ("", "-"):
            answer = manager.get(f"{RESERVATIONS}?o={sign}{column}")
            assert answer.status_code == 200
            shown = {row.pk for row in answer.context_data["cl"].result_list}
            if answer.context_data["cl"].sorted_number:
                assert shown == {row.id for row in newest}, column
            else:
                assert len(shown) == 5


def _entries() -> list[Any]:
    return [write_entry(timezone.now() - timedelta(minutes=number), actor="rare") for number in range(5)]


def _events() -> list[Any]:
    def event(key: str) -> OutboxEvent:
        return OutboxEvent.objects.create(event_id=uuid7(), aggregate_type="x", key=key, type="RareEvent", payload={})

    return [event("a") for _ in range(5)]


def _keys() -> list[Any]:
    def key(number: int) -> IdempotencyKey:
        made = {"client_id": uuid7(), "fingerprint": b"", "body": b"{}"}
        return IdempotencyKey.objects.create(key="same", status=200 + number % 2, **made)

    return [key(number) for number in range(5)]


def _movements() -> list[Any]:
    level = make_level(5)
    return [write_movement(level, timezone.now() - timedelta(minutes=n), actor="rare") for n in range(5)]


def _reservations() -> list[Any]:
    level = make_level(50)
    return [hold((level, 1)) for _ in range(5)]


@pytest.mark.parametrize(
    ("address", "make", "query"),
    [
        (ENTRIES, _entries, {"q": "rare"}),
        (ENTRIES, _entries, {"source": "api"}),
        (ENTRIES, _entries, {"action_is": "inventory_stock_adjusted"}),
        (EVENTS, _events, {"q": "RareEvent"}),
        (KEYS, _keys, {"q": "same"}),
        (MOVEMENTS, _movements, {"q": "rare", "day": "all"}),
        (MOVEMENTS, _movements, {"actor": "rare"}),
        (RESERVATIONS, _reservations, {"warehouse": "wh-001"}),
    ],
)
def test_search_without_an_index_goes_from_the_newest_to_the_oldest_rows(
    administrator: Client, monkeypatch: pytest.MonkeyPatch, address: str, make: Callable[[], list[Any]], query: Any
) -> None:
    """Each page searches two rows, and all pages together find what one search of all rows finds, each row once."""
    make()
    everything = [row.pk for row in listed(administrator, address, **query)]
    assert len(everything) == 5
    monkeypatch.setattr(lists, "SEARCHED_AT_MOST", 2)
    found, answer = [], administrator.get(address, query)
    while True:
        searched = answer.context_data["cl"].searched
        found += [row.pk for row in answer.context_data["cl"].result_list]
        if not searched.older:
            break
        assert "2 rows were searched" in answer.content.decode()
        answer = administrator.get(f"{address}{searched.older}")
    assert found == everything
    assert "No older ones are left" in answer.content.decode()
    assert administrator.get(address, {**query, "older_than": "x"}).status_code == 302


def test_reservations_of_a_limited_person_are_searched_from_the_newest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = make_level(9, "wh-001"), make_level(9, "wh-009")
    make_store("both", "wh-001", "wh-009", is_default=False)
    lines = [((here, 1),), ((there, 1),), ((here, 1), (there, 1)), ((there, 2),)]
    mine, _, both, _ = (hold(*each, store="both") for each in lines)
    monkeypatch.setattr(lists, "SEARCHED_AT_MOST", 2)
    limited = browser_of(make_staff("manager", "wh-001"))
    first = limited.get(RESERVATIONS)
    assert [row.pk for row in first.context_data["cl"].result_list] == [both.id]
    rest = limited.get(f"{RESERVATIONS}{first.context_data['cl'].searched.older}")
    assert [row.pk for row in rest.context_data["cl"].result_list] == [mine.id]
    assert limited.get(RESERVATIONS, {"state": "ACTIVE"}).context_data["cl"].result_count == 2, "active ones are few"
    named = limited.get(RESERVATIONS, {"q": mine.public_id}).context_data["cl"]
    assert ([row.pk for row in named.result_list], named.searched) == ([mine.id], None)
