"""A batch of extends is decided, written and answered as its requests would be one by one."""

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actors import Actor
from audit.errors import DomainError, IdempotencyInProgress
from audit.idempotency import Claim, StoredAnswer
from audit.models import AuditEntry, IdempotencyKey, OutboxEvent
from reservations.api.holds import answers
from reservations.errors import AlreadyExtended
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.documents import Hold
from reservations.services.holds.extending import Extended, ExtendRequest, extend_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.factories import ACTOR, hold, make_due, make_level, make_store

pytestmark = pytest.mark.django_db
CLIENT: Final = uuid4()
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)?|(?<=InSeconds\\\":)\d+")


class Scene:
    """Two stores and what they hold. Scenes with the same seed differ only in their ids and their name."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.random = name, Random(seed)
        self.stores = [make_store(f"{name}-{code}", name, is_default=False).code for code in ("web", "shop")]
        self.levels = [make_level(1000, name) for _ in range(3)]
        self.holds: list[Hold] = []
        self.moved: set[UUID] = set()
        self.answers: list[Any] = []

    def own(self, kind: str) -> str:
        """A cart or an order of this scene."""
        return f"{kind}-{self.name}-{self.random.randint(1, 4)}"

    def disturb(self) -> None:
        """Make some holds, and let others end in each way."""
        for _ in range(self.random.randint(1, 4)):
            lines = [(level, self.random.randint(1, 3)) for level in self.random.sample(self.levels, 2)]
            cart, order = self.random.choice([("cart", None), (None, "order"), ("cart", "order")])
            owners = {"cart_id": cart and self.own("cart"), "order_id": order and self.own("order")}
            self.holds.append(hold(*lines, store=self.random.choice(self.stores), **owners))
        for each, how in zip(
            self.random.sample(self.holds, min(3, len(self.holds))), ("due", "released", "consumed"), strict=False
        ):
            if Reservation.objects.get(pk=each.id).status == "ACTIVE" and each.id not in self.moved:
                self.end(each, how)

    def end(self, each: Hold, how: str) -> None:
        """End a hold, or let it be due."""
        selector = Selector(each.id)
        if how == "due":
            make_due(each.id)
            self.moved.add(each.id)
        elif how == "released":
            release_hold(ReleaseRequest(ACTOR, selector))
        else:
            consume_hold(ConsumeRequest(ACTOR, each.order_id or "sold", selector))

    def request(self, number: int) -> ExtendRequest:
        """A request to extend something; sometimes nothing, sometimes from a client of one store."""
        chosen = self.random.choice([*self.holds[-6:], None])
        selector = self.random.choice(
            [
                Selector(chosen.id if chosen else UUID(int=self.random.getrandbits(128))),
                Selector(cart_id=self.own("cart")),
                Selector(order_id=self.own("order")),
            ]
        )
        limited = Actor("shop", None, "", "api", (self.stores[1],))
        render = answers.extended_one if selector.reservation_id else answers.extended
        claim = Claim(CLIENT, f"{self.name}-{number}", b"f" * 32, render) if self.random.random() < 0.4 else None
        return ExtendRequest(
            self.random.choice([ACTOR, ACTOR, limited]), selector, self.random.randint(1, 15), claim=claim
        )

    def batch(self, number: int) -> list[ExtendRequest]:
        """Requests to extend, some of them for the same holds."""
        return [self.request(number * 100 + n) for n in range(self.random.randint(1, 8))]

    def note(self, requests: Sequence[ExtendRequest], outcomes: Sequence[Any]) -> None:
        """Note the answers to a batch."""
        self.answers += [shown(*pair) for pair in zip(requests, outcomes, strict=True)]

    def state(self) -> str:
        """What was answered and written, without what differs between two scenes: ids, names and times."""
        found = list(Reservation.objects.filter(store__code__in=self.stores).order_by("id"))
        ids = [each.pk for each in found]
        ends = dict(ReservationItem.objects.filter(reservation__in=ids).values_list("reservation_id", "held_until"))
        entries = AuditEntry.objects.filter(store__in=self.stores).order_by("id")
        events = OutboxEvent.objects.filter(key__in=[each.public_id for each in found]).order_by("position")
        keys = IdempotencyKey.objects.filter(key__startswith=f"{self.name}-").order_by("key")
        written = [
            self.answers,
            [(each.pk, each.status, each.extended_at is not None, self.minutes(each)) for each in found],
            [ends[each.pk] == each.expires_at for each in found],
            list(entries.values_list("action", "actor", "subject_id", "changes")),
            list(events.values_list("type", "key", "payload")),
            [(key.key, key.status, bytes(key.body).decode()) for key in keys],
        ]
        return self.masked(json.dumps(written, default=str, indent=1), ids)

    def minutes(self, each: Reservation) -> float | None:
        """How long a reservation was made to last; None if its end was moved by a test."""
        return None if each.pk in self.moved else (each.expires_at - each.created_at).total_seconds() / 60

    def masked(self, text: str, ids: Sequence[UUID]) -> str:
        names = {str(level.product_id): f"product {number}" for number, level in enumerate(self.levels)}
        names |= {str(id_): f"hold {number}" for number, id_ in enumerate(ids)}
        text = _ID.sub(lambda found: names.get(found[0], "another"), text)
        return re.sub(rf"\b{self.name}\b", "scene", _TIME.sub("a time", text))


def shown(request: ExtendRequest, outcome: Any) -> Any:
    if isinstance(outcome, DomainError):
        return [outcome.code, outcome.detail, [(fault.pointer, fault.code, fault.facts) for fault in outcome.faults]]
    if isinstance(outcome, StoredAnswer):
        return outcome.body.decode()
    render = answers.extended_one if request.selector.reservation_id else answers.extended
    return render(outcome).body.decode()


def test_a_batch_answers_and_writes_what_one_by_one_does() -> None:
    """Each batch is sent twice: the second time, stored answers are among the outcomes."""
    seed = uuid4().int
    together, single = Scene("aa", seed), Scene("bb", seed)
    for number in range(20):
        for scene in (together, single):
            scene.disturb()
        batch, requests = together.batch(number), single.batch(number)
        for _ in range(2):
            together.note(batch, extend_holds(batch))
            for request in requests:
                single.note([request], extend_holds([request]))
    assert together.state() == single.state(), seed
    codes = {str(answer[0]) for answer in together.answers if isinstance(answer, list)}
    assert {"already_extended", "reservation_not_found"} <= codes, seed
    assert sum(isinstance(answer, str) for answer in together.answers) > 10, seed
    assert_books_balance()


@pytest.mark.usefixtures("store")
def test_of_two_requests_with_one_key_the_second_is_refused_as_in_progress() -> None:
    made = hold((make_level(5), 1))
    claim = Claim(CLIENT, "once", b"f" * 32, answers.extended_one)
    request = ExtendRequest(ACTOR, Selector(made.id), 5, claim=claim)
    first, second = extend_holds([request, request])
    assert isinstance(first, Extended)
    assert isinstance(second, IdempotencyInProgress)
    (again,) = extend_holds([request])
    assert isinstance(again, StoredAnswer)


@pytest.mark.usefixtures("store")
def test_statements_do_not_grow_with_the_batch() -> None:
    level = make_level(500)

    def statements(count: int) -> int:
        made = [hold((level, 1), cart_id=f"c-{count}-{n}", order_id=f"o-{count}-{n}") for n in range(3 * count)]
        selectors = [Selector(each.id) for each in made[:count]]
        selectors += [Selector(cart_id=each.cart_id) for each in made[count : 2 * count]]
        selectors += [Selector(order_id=each.order_id) for each in made[2 * count :]]
        with CaptureQueriesContext(connection) as captured:
            outcomes = extend_holds([ExtendRequest(ACTOR, selector, 5) for selector in selectors])
        assert {type(outcome) for outcome in outcomes} == {Extended}
        return len(captured)

    assert statements(1) == statements(12)


@pytest.mark.usefixtures("store")
def test_a_hold_that_several_requests_select_is_extended_by_the_first() -> None:
    level = make_level(5)
    made = hold((level, 1), (make_level(5), 2), cart_id="c", order_id="o")
    selectors = [Selector(order_id="o"), Selector(made.id), Selector(cart_id="c")]
    outcomes = extend_holds([ExtendRequest(ACTOR, selector, 5) for selector in selectors])
    assert [type(outcome) for outcome in outcomes] == [Extended, AlreadyExtended, AlreadyExtended]
    assert isinstance(outcomes[0], Extended)
    assert outcomes[0].holds[0].items == made.items
