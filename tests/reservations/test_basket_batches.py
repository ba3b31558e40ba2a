"""Baskets of a batch are decided as one by one, and written at once (docs/explanation/rules.md, rule 10)."""

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from audit.errors import Busy, DomainError
from audit.idempotency import Claim, StoredAnswer
from audit.models import AuditEntry, IdempotencyKey, OutboxEvent
from inventory.errors import InsufficientStock
from inventory.models import Product, StockLevel, Store
from reservations.api.holds import answers
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.baskets import apart, empty_baskets, put_basket, put_baskets
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold
from reservations.services.holds.resolution import ReleaseRequest, Resolved
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, hold, hold_request, make_due, make_level, make_product, make_store, receive

pytestmark = pytest.mark.django_db
CLIENT: Final = uuid4()
CARTS: Final = 5
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?|(?<=InSeconds\\\":)\d+")


class Scene:
    """Products and carts. Scenes of the same random numbers differ in ids and in their name alone."""

    def __init__(self, name: str, seed: int, units: tuple[int, int]) -> None:
        self.name, self.random = name, Random(seed)
        self.places = [f"{name}-one", f"{name}-two"]
        self.store = make_store(f"shop-{name}", *self.places, is_default=False)
        self.products = [make_product() for _ in range(4)]
        for product in self.products:
            for place in self.places:
                receive(product, self.random.randint(*units), place)
        self.answers: list[Any] = []

    def request(self, cart: int, number: int) -> HoldRequest:
        """A basket of a cart; empty now and then."""
        chosen = self.random.sample(self.products, self.random.choice((0, 1, 2, 2, 3, 4)))
        lines = [
            RequestLine(product.pk, None, self.random.randint(1, 4), self.random.choice((None, None, *self.places)))
            for product in chosen
        ]
        return HoldRequest(
            actor=ACTOR,
            lines=tuple(lines),
            store=self.store.code,
            cart_id=f"cart-{self.name}-{cart}",
            customer_id=self.random.choice((None, f"u-{self.name}-1", f"u-{self.name}-2")),
            claim=Claim(CLIENT, f"{self.name}-{number}-{cart}", b"f" * 32, answers.put),
        )

    def batch(self, number: int) -> list[HoldRequest]:
        """Baskets of some carts, in random order."""
        return [self.request(cart, number) for cart in self.random.sample(range(CARTS), self.random.randint(1, CARTS))]

    def disturb(self, *, may_end: bool) -> None:
        """Hold more for a cart beside its basket, or let what it holds end."""
        cart = f"cart-{self.name}-{self.random.randrange(CARTS)}"
        product = self.random.choice(self.products)
        if self.random.random() < 0.5:
            line = RequestLine(product.pk, None, 1)
            request = HoldRequest(actor=ACTOR, lines=(line,), store=self.store.code, cart_id=cart)
            self.note([outcome_of(lambda: place_hold(request))])
        elif may_end:
            found = Reservation.objects.filter(cart_id=cart, status="ACTIVE").order_by("id")
            make_due(*(each.pk for each in found[:1]))

    def note(self, outcomes: Sequence[Any]) -> None:
        """Note the answers to a batch."""
        self.answers += [shown(outcome) for outcome in outcomes]

    def levels(self) -> list[tuple[int, int, int]]:
        """On hand, reserved and version of each level."""
        found = StockLevel.objects.filter(product__in=self.products).order_by("product__sku", "warehouse__code")
        return sorted_by_product(found, self.products)

    def state(self) -> str:
        """What was answered and written, without what differs between two scenes: ids, names and times."""
        holds = list(Reservation.objects.filter(store=self.store).order_by("id"))
        ids = [hold.pk for hold in holds]
        fields = ("reservation_id", "level__product_id", "level__warehouse__code", "quantity", "unit_price", "pinned")
        items = ReservationItem.objects.filter(reservation__in=ids).order_by("reservation_id", "id")
        entries = AuditEntry.objects.filter(store=self.store.code).order_by("id")
        events = OutboxEvent.objects.filter(key__in=[hold.public_id for hold in holds]).order_by("position")
        keys = IdempotencyKey.objects.filter(key__startswith=f"{self.name}-").order_by("key")
        written = [
            self.answers,
            [(hold.pk, hold.status, hold.cart_id, hold.customer_id, hold.reason) for hold in holds],
            [bool(hold.changed_at) for hold in holds],
            list(items.values_list(*fields)),
            list(entries.values_list("action", "subject_id", "changes")),
            list(events.values_list("type", "key", "payload")),
            [(key.key, key.status, bytes(key.body).decode()) for key in keys],
        ]
        return self.masked(json.dumps(written, default=str, indent=1), ids)

    def masked(self, text: str, holds: Sequence[UUID]) -> str:
        names = {str(product.pk): f"product {number}" for number, product in enumerate(self.products)}
        names |= {str(id_): f"hold {number}" for number, id_ in enumerate(holds)}
        text = _ID.sub(lambda found: names.get(found[0], "another"), text)
        return re.sub(rf"\b{self.name}\b", "scene", _TIME.sub("a time", text))


def sorted_by_product(levels: Any, products: Sequence[Product]) -> list[tuple[int, int, int]]:
    order = {product.pk: number for number, product in enumerate(products)}
    found = sorted(levels, key=lambda level: (order[level.product_id], level.warehouse.code))
    return [(level.on_hand, level.reserved, level.version) for level in found]


def outcome_of(work: Any) -> Any:
    try:
        return work()
    except DomainError as error:
        return error


def shown(outcome: Any) -> Any:
    if isinstance(outcome, DomainError):
        return [outcome.code, outcome.detail, [(fault.pointer, fault.code, fault.facts) for fault in outcome.faults]]
    if isinstance(outcome, StoredAnswer):
        return outcome.body.decode()
    answer = answers.released(outcome) if isinstance(outcome, Resolved) else answers.put(outcome)
    return answer.body.decode()


LIMITS: Final[dict[str, dict[str, int]]] = {
    "no limits": {},
    "units": {"max_units_per_customer": 5},
    "holds": {"max_holds_per_customer": 2, "hold_window_minutes": 60},
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(("units", "may_end"), [((1, 6), False), ((100, 400), True)], ids=["scarce", "with ends"])
def test_a_batch_decides_and_writes_what_one_by_one_does(limit: str, units: tuple[int, int], may_end: bool) -> None:
    """A batch has one version and one event of a level, and none of a level that it leaves as it was.

    Where holds may end, no level is scarce: a basket that is short would be decided again after the rest of its batch,
    once due holds are expired, and could get units that the other baskets gave back. One by one, it would be refused.
    """
    seed = uuid4().int
    together, single = Scene("aa", seed, units), Scene("bb", seed, units)
    Store.objects.update(**LIMITS[limit])
    for number in range(12):
        for scene in (together, single):
            scene.disturb(may_end=may_end)
        before = [scene.levels() for scene in (together, single)]
        together.note(put_baskets(together.batch(number)))
        for request in single.batch(number):
            single.note(put_baskets([request]))
        for was, level, other_was, other in zip(before[0], together.levels(), before[1], single.levels(), strict=True):
            assert level[:2] == other[:2], seed
            assert level[2] - was[2] == (other[2] - other_was[2] if level[:2] != was[:2] else 0), seed
        assert_books_balance()
    carts = [f"cart-{{}}-{cart}" for cart in range(0, CARTS, 2)]
    releases = [
        [ReleaseRequest(ACTOR, Selector(cart_id=cart.format(scene.name)), "emptied") for cart in carts]
        for scene in (together, single)
    ]
    together.note(empty_baskets(releases[0]))
    for release in releases[1]:
        single.note(empty_baskets([release]))
    assert together.state() == single.state(), seed
    assert_books_balance()


@pytest.mark.usefixtures("store")
def test_a_basket_that_is_short_leaves_the_others_alone() -> None:
    level, other = make_level(5), make_level(5)
    kept = hold((level, 2), cart_id="b")
    requests = [
        hold_request((level, 3), cart_id="a"),
        hold_request((level, 3), (other, 5), cart_id="b"),
        hold_request((other, 5), cart_id="c"),
    ]
    first, short, last = put_baskets(requests)
    assert isinstance(first, PlacedHold)
    assert isinstance(short, InsufficientStock)
    assert isinstance(last, PlacedHold)
    assert (counters(level), counters(other)) == ((5, 5), (5, 5))
    assert Reservation.objects.get(pk=kept.id).changed_at is None


@pytest.mark.usefixtures("store")
def test_units_that_one_basket_gives_back_are_there_for_the_next() -> None:
    level, other = make_level(5), make_level(5)
    hold((level, 5), cart_id="a")
    outcomes = put_baskets([hold_request((other, 1), cart_id="a"), hold_request((level, 5), cart_id="b")])
    assert [type(outcome) for outcome in outcomes] == [PlacedHold] * 2
    assert (counters(level), counters(other)) == ((5, 5), (5, 1))


@pytest.mark.usefixtures("store")
def test_a_second_basket_of_a_cart_is_not_decided_with_the_first() -> None:
    level = make_level(5)
    first, second = (hold_request((level, units), cart_id="a") for units in (2, 3))
    outcomes = put_baskets([first, second])
    assert isinstance(outcomes[0], PlacedHold)
    assert isinstance(outcomes[1], Busy)
    assert counters(level) == (5, 2)
    assert set(apart(first)) & set(apart(second))
    claims = [Claim(CLIENT, key, b"", answers.put) for key in ("k", "k", "l")]
    one, same, another = (hold_request((level, 1), claim=claim) for claim in claims)
    assert set(apart(one)) & set(apart(same))
    assert not set(apart(one)) & set(apart(another))


@pytest.mark.usefixtures("store")
def test_an_item_that_stays_is_updated_and_one_that_is_unchanged_is_not_written() -> None:
    levels = [make_level(10) for _ in range(4)]
    place = put_basket(hold_request(*((level, 2) for level in levels[:3]), cart_id="a"))
    assert isinstance(place, PlacedHold)
    before = rows_of(place.hold.id)
    put_basket(hold_request((levels[0], 2), (levels[1], 5), (levels[3], 1), cart_id="a"))
    after = rows_of(place.hold.id)
    assert [(level, quantity) for level, quantity, *_ in after] == [
        (levels[0].pk, 2),
        (levels[1].pk, 5),
        (levels[3].pk, 1),
    ]
    assert after[0] == before[0]
    assert after[1][2] == before[1][2]
    assert after[1][3] != before[1][3]
    assert after[2][2] not in {id_ for _, _, id_, _ in before}


@pytest.mark.usefixtures("store")
def test_items_are_read_in_the_order_of_the_newest_basket() -> None:
    levels = [make_level(10) for _ in range(4)]
    random, orders = Random(7), []
    for _ in range(8):
        wanted = random.sample(levels, random.randint(1, 4))
        placed = put_basket(hold_request(*((level, random.randint(1, 3)) for level in wanted), cart_id="a"))
        assert isinstance(placed, PlacedHold)
        orders.append([level for level, *_ in rows_of(placed.hold.id)] == placed.hold.level_ids)
    assert all(orders)
    assert_books_balance()


def rows_of(id_: UUID) -> list[tuple[UUID, int, UUID, Any]]:
    """Level, quantity, id and version of the row of each item, in the order in which they are read."""
    found = ReservationItem.objects.filter(reservation=id_).order_by("id").extra(select={"row": "ctid::text"})
    return [(item.level_id, item.quantity, item.pk, item.row) for item in found]
