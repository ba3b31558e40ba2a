"""What a client may send and cost, and how many wrong tokens an address may send, each minute."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from uuid_utils.compat import uuid7

from audit import authentication
from config import throttling
from config.asgi_app import Application
from inventory.models import StockLevel, Store
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import hold, make_level
from tests.loops import run

pytestmark = pytest.mark.django_db


class Warnings:
    """Records the logged warnings."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **facts: object) -> None:
        self.events.append(event)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> Warnings:
    logged = Warnings()
    monkeypatch.setattr(throttling, "logger", logged)
    return logged


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Counters of their own, and a connection to Redis that is made anew."""
    for name in ("_requests", "_costs", "_failed_tokens"):
        monkeypatch.setattr(throttling, name, new_counter())
    forget_connection()
    yield
    forget_connection()


def new_counter() -> Any:
    """A separate counter whose minute has just begun. It would count from 0 again if the minute ended in the test."""
    counter = throttling._Counter(f"test-{uuid7()}")
    counter._ends_at = time.time() + 59
    return counter


def forget_connection() -> None:
    """Make the next request to Redis connect anew."""
    rested()
    throttling._client().close()
    throttling._client.cache_clear()


def rested() -> None:
    """Wait until all that was handed to the sender has been sent, or has failed."""
    throttling._sender().submit(lambda: None).result()


@contextmanager
def slow_redis(settings: LazySettings, seconds: float | None) -> Iterator[None]:
    """A Redis that answers each command after some time, or never."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}"
        forget_connection()
        threading.Thread(target=answer_slowly, args=(server, seconds, over), daemon=True).start()
        yield
        over.set()
        forget_connection()


def answer_slowly(server: socket.socket, seconds: float | None, over: threading.Event) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with suppress(OSError), connection:
                while asked := connection.recv(65536):
                    if over.wait(seconds):
                        break
                    connection.sendall((b"+OK\r\n" if b"CLIENT" in asked else b":1\r\n") * asked.count(b"*"))


def lose_redis(settings: LazySettings) -> None:
    """From now on Redis is where nobody listens."""
    settings.REDIS_URL = "redis://127.0.0.1:1"
    forget_connection()


def refused(send: Callable[[], HttpResponse]) -> HttpResponse:
    """The first refusal. No limit in this module is above three requests, so that the fourth is refused."""
    for _ in range(4):
        response = send()
        if response.status_code == 429:
            return response
    raise AssertionError("never refused")


def test_a_client_over_its_limit_is_told_when_to_come_back(api: Api, settings: LazySettings) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = 3
    response = refused(lambda: api.get("levels"))
    problem(response, 429, "throttled")
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_a_client_within_its_limit_or_without_one_is_served(api: Api, settings: LazySettings) -> None:
    for limit in (0, 20):
        settings.THROTTLE_REQUESTS_PER_MINUTE = limit
        assert [api.get("levels").status_code for _ in range(20)] == [200] * 20


def left(response: HttpResponse) -> dict[str, int]:
    """What is left of each limit, as an answer says."""
    parts = [part.split(";") for part in response.headers["RateLimit"].split(", ")]
    assert all(0 < int(until.removeprefix("t=")) <= 60 for _, _, until in parts)
    return {name.strip('"'): int(units.removeprefix("r=")) for name, units, _ in parts}


def test_answers_say_what_is_left_of_the_limits(api: Api, settings: LazySettings, store: Store) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE, settings.THROTTLE_COST_PER_MINUTE = 3, 50
    first = api.get("levels")
    assert first.headers["RateLimit-Policy"] == '"requests";q=3;w=60, "cost";q=50;w=60'
    assert left(first) == {"requests": 2, "cost": 50}
    spent = left(spend(api, make_level(5)))
    assert spent["requests"] == 1
    assert spent["cost"] < 50
    assert left(api.get("levels?limit=x"))["requests"] == 0
    over = api.get("levels")
    assert (over.status_code, left(over)["requests"]) == (429, 0)
    assert int(over.headers["Retry-After"]) > 0
    settings.THROTTLE_COST_PER_MINUTE = 0
    assert api.get("levels").headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    settings.THROTTLE_REQUESTS_PER_MINUTE = 0
    assert "RateLimit" not in api.get("levels").headers
    assert "RateLimit" not in Client().get("/api/v1/inventory/levels").headers


def test_each_client_has_a_limit_of_its_own(make_api: Callable[[], Api], settings: LazySettings) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = 3
    first, second = make_api(), make_api()
    refused(lambda: first.get("levels"))
    assert second.get("levels").status_code == 200


def wrong(address: str) -> HttpResponse:
    client = Client(headers={"Host": "localhost", "Authorization": "Bearer wrong"})
    return client.get("/api/v1/inventory/levels", REMOTE_ADDR=address)


def test_wrong_tokens_are_counted_by_address(api: Api, settings: LazySettings) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 3
    one, other = f"test-{uuid7()}", f"test-{uuid7()}"
    assert wrong(one).status_code == 401
    problem(refused(lambda: wrong(one)), 429, "throttled")
    assert wrong(other).status_code == 401
    assert api.get("levels").status_code == 200


def test_wrong_tokens_of_ipv6_are_counted_by_the_network_of_a_customer(settings: LazySettings) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 3
    numbers = iter(range(1, 100))
    problem(refused(lambda: wrong(f"2001:db8:0:7::{next(numbers):x}")), 429, "throttled")
    assert wrong("2001:db8:0:8::1").status_code == 401


def test_no_more_wrong_tokens_are_looked_up_than_an_address_may_send(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 3
    looked_up: list[str] = []
    monkeypatch.setattr(authentication, "_read", lambda token, digest: looked_up.append(token))
    for _ in range(20):
        wrong("10.0.0.1")
    assert len(looked_up) == 3


def test_a_wrong_token_with_a_large_body_is_counted_and_looked_up_once(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body asks who sends more than a stranger may, and then the view asks."""
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 1000
    looked_up: list[str] = []
    monkeypatch.setattr(authentication, "_read", lambda token, digest: looked_up.append(token))
    application, sent = Application(), b" " * 20_000
    for length in (len(sent), None):
        assert [over_the_loop(application, sent, length) for _ in range(3)] == [401] * 3
    assert len(looked_up) == 6
    assert throttling._failed_tokens._counts["10.0.0.3"].own == 6
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 1
    assert over_the_loop(application, sent, len(sent)) == 429


def over_the_loop(application: Application, content: bytes, length: int | None) -> int:
    """The status that the whole application answers to a wrong token with this body."""
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer wrong")]
    headers += [(b"content-length", b"%d" % length)] if length else []
    path = "/api/v1/inventory/reserve"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    scope["client"] = ("10.0.0.3", 1)
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    run(application(scope, receive, send))
    return statuses[0]


def test_a_client_is_served_beside_wrong_tokens_of_its_address(api: Api, settings: LazySettings) -> None:
    """A right token is not counted, and one that was right when it was last looked up passes a used-up limit."""
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 2
    for _ in range(5):
        authentication.forget_cached_tokens()
        assert api.get("levels").status_code == 200
    refused(lambda: wrong("127.0.0.1"))
    assert api.get("levels").status_code == 200
    settings.TOKEN_CACHE_SECONDS = 0
    assert api.get("levels").status_code == 200


def test_a_token_that_could_not_be_looked_up_is_not_counted(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 1

    def away(*_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(authentication, "_read", away)
    assert [wrong("10.0.0.2").status_code for _ in range(5)] == [503] * 5


@pytest.mark.parametrize("seconds", [0.025, None])
def test_a_slow_redis_neither_opens_a_limit_nor_is_waited_for(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, warnings: Warnings, seconds: float | None
) -> None:
    monkeypatch.setattr(throttling, "_TIMEOUT_SECONDS", 60)
    with slow_redis(settings, seconds):
        began = time.monotonic()
        waits = [throttling._requests.add("x", 1, 300) for _ in range(1000)]
        assert time.monotonic() - began < 30
        assert sum(wait is None for wait in waits) <= 300


def test_without_redis_the_limits_hold_by_the_own_count(
    api: Api, settings: LazySettings, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 3
    lose_redis(settings)
    monkeypatch.setattr(throttling, "_SEND_EVERY_SECONDS", 0.0)
    assert api.get("levels").status_code == 200
    problem(refused(lambda: api.get("levels")), 429, "throttled")
    problem(refused(lambda: wrong("10.0.0.3")), 429, "throttled")
    rested()
    assert set(warnings.events) == {"throttling_without_redis"}


def test_while_redis_is_away_it_is_asked_every_few_seconds(
    settings: LazySettings, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_redis(settings)
    assert throttling._PAUSE_AFTER_FAILURE_SECONDS < 10
    monkeypatch.setattr(throttling, "_PAUSE_AFTER_FAILURE_SECONDS", 60)
    for name in range(50):
        throttling._requests.add(f"x{name}", 1, 1)
        rested()
    assert len(warnings.events) == 1


def test_processes_count_together_by_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_SEND_EVERY_SECONDS", 0.0)
    one = new_counter()
    other = throttling._Counter(one._kind)
    other._ends_at = one._ends_at
    for _ in range(30):
        for counter in (one, other):
            counter.add("x", 1, 1000)
            rested()
    assert one.wait("x", 28) or other.wait("x", 28)
    assert not one.wait("x", 61)


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes after too many shares one count with the others who do: nobody passes uncounted."""
    monkeypatch.setattr(throttling, "_NAMES_LIMIT", 10)
    counter = throttling._failed_tokens
    waits = [counter.add(f"address-{number}", 1, 50) for number in range(200)]
    assert len(counter._counts) <= 11
    assert waits[0] is None
    assert any(waits)


def spend(api: Api, level: StockLevel, lines: int = 1) -> HttpResponse:
    body = {"cartId": "c", "items": [{"productId": str(level.product_id), "quantity": 1}] * lines}
    return api.post("reserve", body)


def test_a_client_that_has_written_too_much_may_still_read(
    make_api: Callable[[], Api], settings: LazySettings, store: Store
) -> None:
    settings.THROTTLE_COST_PER_MINUTE = 3
    level = make_level(10_000)
    one, other = make_api(), make_api()
    response = refused(lambda: spend(one, level))
    problem(response, 429, "throttled")
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert one.get("levels").status_code == 200
    assert spend(other, level).status_code == 201


def cost(work: Callable[[], HttpResponse]) -> int:
    """What a command is charged."""
    throttling._costs = new_counter()
    assert work().status_code < 300
    return sum(count.own for count in throttling._costs._counts.values())


def test_a_command_costs_by_its_lines_and_by_the_rows_that_it_does_not_name(
    api: Api, settings: LazySettings, store: Store
) -> None:
    settings.THROTTLE_COST_PER_MINUTE = 1_000_000
    level = make_level(10_000)
    assert cost(lambda: spend(api, level)) == 1
    assert cost(lambda: spend(api, level, 200)) > 10
    for _ in range(49):
        make_level(1)
    count = {"warehouseId": level.warehouse.code, "scope": "ALL"}
    assert cost(lambda: api.post("counts", count)) > 10


def test_holds_that_give_way_and_posted_counts_cost_by_their_rows(
    api: Api, settings: LazySettings, store: Store
) -> None:
    settings.THROTTLE_COST_PER_MINUTE = 1_000_000
    levels = [make_level(10) for _ in range(30)]
    for level in levels[1:10]:
        hold((levels[0], 1), (level, 1))
    line = {"productId": str(levels[0].product_id), "warehouseId": "wh-001", "quantity": -10, "type": "ADJUSTMENT"}
    forced = {"adjustments": [{**line, "reason": "stolen", "force": True}]}
    assert cost(lambda: api.put("adjust", forced)) > 9
    opened = api.post("counts", {"warehouseId": "wh-001", "scope": "ALL", "recountShare": 1})
    path = f"counts/{opened.json()['countId']}"  # type: ignore[attr-defined]
    counted = [{"productId": str(level.product_id), "counted": 9} for level in levels[1:]]
    assert api.put(f"{path}/lines", {"lines": counted}).status_code == 200
    assert cost(lambda: api.post(f"{path}/post", {"skipUncounted": True})) > 25


def test_what_is_refused_or_read_costs_nothing(api: Api, settings: LazySettings, store: Store) -> None:
    settings.THROTTLE_COST_PER_MINUTE = 1_000_000
    level = make_level(1)
    assert spend(api, level, 2).status_code == 409
    assert api.get("levels").status_code == 200
    assert not throttling._costs._counts
