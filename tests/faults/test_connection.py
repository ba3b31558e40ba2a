"""The connection to PostgreSQL breaks: a command is executed exactly once, and its answer is right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.db import connection

from audit.errors import Busy
from audit.models import AuditEntry
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import Extended, ExtendRequest, extend_hold
from reservations.services.holds.placing import PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.concurrency.threads import Crew, stranger
from tests.factories import ACTOR, counters, hold, hold_request, make_due, make_level
from tests.faults.proxy import Proxy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
CUTS = ["before", "after", "in flight"]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Route new connections through the proxy. This thread's own connection exists already."""
    connection.ensure_connection()
    proxy = Proxy(connection.settings_dict)
    monkeypatch.setitem(connection.settings_dict, "HOST", str(proxy.folder))
    yield proxy
    proxy.close()


@dataclass(frozen=True)
class Verb:
    """A command on ten units of which three are held, and the counters after it."""

    work: Callable[[], Any]
    answer: type
    counters: tuple[int, int]


VERBS = ["place_hold", "extend", "release", "consume", "adjust", "put_basket", "sweep"]


def verb(name: str, level: StockLevel, held: Hold) -> Verb:
    selector = Selector(reservation_id=held.id)
    receipt = Adjustment(level.product_id, None, "wh-001", 5, "RECEIPT", "goods in")
    if name == "sweep":
        make_due(held.id)
    verbs = {
        "place_hold": Verb(partial(place_hold, hold_request((level, 2))), PlacedHold, (10, 5)),
        "extend": Verb(partial(extend_hold, ExtendRequest(ACTOR, Selector(held.id), 5)), Extended, (10, 3)),
        "release": Verb(partial(release_hold, ReleaseRequest(ACTOR, selector)), Resolved, (10, 0)),
        "consume": Verb(partial(consume_hold, ConsumeRequest(ACTOR, "order-1", selector)), Resolved, (7, 0)),
        "adjust": Verb(partial(apply_adjustments, AdjustRequest(ACTOR, (receipt,))), Adjusted, (15, 3)),
        "put_basket": Verb(partial(put_basket, hold_request((level, 4), cart_id=held.cart_id)), PlacedHold, (10, 4)),
        "sweep": Verb(expire_due_holds, int, (10, 0)),
    }
    return verbs[name]


@pytest.fixture
def level() -> StockLevel:
    return make_level(10)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", VERBS)
def test_connection_lost_in_commit_does_it_exactly_once(proxy: Proxy, level: StockLevel, name: str, cut: str) -> None:
    wanted = verb(name, level, hold((level, 3)))
    before = AuditEntry.objects.count()
    proxy.cuts = [cut]
    (answer,) = Crew(wanted.work).join()
    assert not proxy.cuts
    assert isinstance(answer, wanted.answer), answer
    assert counters(level) == wanted.counters
    assert AuditEntry.objects.count() == before + 1
    assert_books_balance()


@pytest.mark.parametrize("cuts", [["before", "before", "after"], ["before", "in flight"], ["before"] * 3])
def test_connection_lost_again_and_again_does_it_exactly_once(proxy: Proxy, level: StockLevel, cuts: list[str]) -> None:
    proxy.cuts = [*cuts]
    request = hold_request((level, 2))
    (held,) = Crew(partial(place_hold, request)).join()
    assert isinstance(held, PlacedHold)
    assert held.hold.id == request.id
    assert list(Reservation.objects.values_list("id", flat=True)) == [request.id]
    assert_books_balance()


def test_connection_lost_in_every_commit_is_busy_and_did_nothing(proxy: Proxy, level: StockLevel) -> None:
    proxy.cuts = ["before"] * 20
    (refused,) = Crew(partial(place_hold, hold_request((level, 2)))).join()
    assert isinstance(refused, Busy)
    assert counters(level) == (10, 0)
    assert_books_balance()


@pytest.mark.parametrize("name", VERBS)
def test_idle_connection_that_was_killed_is_no_obstacle(level: StockLevel, name: str) -> None:
    wanted = verb(name, level, hold((level, 3)))

    def work() -> Any:
        kill_this_connection()
        return wanted.work()

    (answer,) = Crew(work).join()
    assert isinstance(answer, wanted.answer), answer
    assert counters(level) == wanted.counters
    assert_books_balance()


@pytest.mark.parametrize("name", VERBS)
def test_connection_killed_in_the_middle_is_no_obstacle(level: StockLevel, name: str) -> None:
    wanted = verb(name, level, hold((level, 3)))
    is_killed = False

    def kill_before_the_audit(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        nonlocal is_killed
        if "INSERT INTO audit_auditentry" in sql and not is_killed:
            is_killed = True
            kill_this_connection()
        return execute(sql, *arguments)

    def work() -> Any:
        with connection.execute_wrapper(kill_before_the_audit):
            return wanted.work()

    (answer,) = Crew(work).join()
    assert is_killed
    assert isinstance(answer, wanted.answer), answer
    assert counters(level) == wanted.counters
    assert_books_balance()


def kill_this_connection() -> None:
    """Terminate this connection from another one, as an administrator would."""
    with stranger() as other:
        pid = connection.connection.info.backend_pid
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
