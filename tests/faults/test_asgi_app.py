"""Over real connections: requests get the same answer on the event loop as in a thread."""

import http.client
import itertools
import json
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from tests.books import assert_books_balance
from tests.faults.house import PATIENCE_SECONDS, House, Load, Web, call, eventually

BASE = "/api/v1/inventory/"
ON_LOOP, IN_THREAD = "", "?dryRun=false"
"""Any query string sends a request through a thread."""


@pytest.fixture(scope="class")
def _web(house: House) -> Iterator[None]:
    web = Web(house)
    yield
    web.kill()


Answer = tuple[int, dict[str, str], Any]


def send(house: House, path: str, body: Any, method: str = "POST", **headers: str) -> Answer:
    """Send a request. Names of headers have underscores for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE_SECONDS)
    sent = {"Authorization": f"Bearer {house.token}", "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        content = body if isinstance(body, bytes) or hasattr(body, "__next__") else json.dumps(body).encode()
        connection.request(method, path, content, sent, encode_chunked=hasattr(body, "__next__"))
        response = connection.getresponse()
        raw = response.read()
        kind = response.headers.get("Content-Type", "")
        received = {name.lower(): value for name, value in response.headers.items()}
        return response.status, received, json.loads(raw) if "json" in kind else raw


def reserve_body(house: House, quantity: int = 1) -> dict[str, Any]:
    return {"cartId": f"cart-{uuid4()}", "items": [{"productId": house.products[0], "quantity": quantity}]}


def without(body: Any, *received: str) -> Any:
    return {name: value for name, value in body.items() if name not in received}


@pytest.mark.usefixtures("_web")
class TestAnswers:
    def test_a_hold_is_answered_with_the_same_headers_and_fields(self, house: House) -> None:
        answers = [
            send(house, f"{BASE}reserve{way}", reserve_body(house), X_Request_ID="mine") for way in (ON_LOOP, IN_THREAD)
        ]
        assert [status for status, _, _ in answers] == [201, 201]
        for _, received, body in answers:
            assert received.pop("location").endswith(f"/reservations/{body['reservationId']}")
            assert re.fullmatch(r'"requests";r=\d+;t=\d+, "cost";r=\d+;t=\d+', received.pop("ratelimit"))
        on_loop, in_thread = ({name: v for name, v in received.items() if name != "date"} for _, received, _ in answers)
        assert on_loop == in_thread
        assert on_loop["x-request-id"] == "mine"
        mine, other = (without(body, "reservationId", "cartId", "createdAt", "expiresAt") for _, _, body in answers)
        assert mine == other

    @pytest.mark.parametrize(
        "change",
        [
            {"items": [{"productId": str(uuid4()), "quantity": 1}]},
            {"items": []},
            {"warehouse": "wh-001"},
            {"timeoutMinutes": 1000},
            {"cartId": None},
            {"storeId": "nowhere"},
        ],
        ids=["unknown product", "no items", "unknown field", "too long", "for nothing", "unknown store"],
    )
    def test_a_refusal_is_the_same_problem(self, house: House, change: dict[str, Any]) -> None:
        answers = [send(house, f"{BASE}reserve{way}", reserve_body(house) | change) for way in (ON_LOOP, IN_THREAD)]
        (status, headers, body), (other_status, other_headers, other_body) = answers
        assert status == other_status >= 400
        assert headers["content-type"] == other_headers["content-type"] == "application/problem+json"
        assert headers["x-request-id"] == body["requestId"]
        assert "nosniff" in headers["x-content-type-options"]
        assert without(body, "requestId", "detail", "errors") == without(other_body, "requestId", "detail", "errors")

    def test_a_shortage_has_the_sellable_units(self, house: House) -> None:
        answers = [send(house, f"{BASE}reserve{way}", reserve_body(house, 900_000)) for way in (ON_LOOP, IN_THREAD)]
        assert [(status, body["code"]) for status, _, body in answers] == [(409, "insufficient_stock")] * 2
        (on_loop,), (in_thread,) = (body["errors"] for _, _, body in answers)
        assert on_loop == in_thread
        assert (on_loop["requested"], on_loop["available"] < 100_001) == (900_000, True)

    def test_a_key_is_one_key_on_both_ways(self, house: House) -> None:
        body = reserve_body(house)
        first = send(house, f"{BASE}reserve", body, Idempotency_Key="one")
        again = send(house, f"{BASE}reserve", body, Idempotency_Key="one")
        other_body = send(house, f"{BASE}reserve", reserve_body(house), Idempotency_Key="one")
        no_key = send(house, f"{BASE}reserve", body, Idempotency_Key="kéy".encode().decode("latin1"))
        assert (first[0], again[0], other_body[0], no_key[0]) == (201, 201, 422, 400)
        assert "idempotent-replayed" not in first[1]
        assert again[1]["idempotent-replayed"] == "true"
        assert again[2] == first[2]

    def test_a_hold_is_sold_and_given_back(self, house: House) -> None:
        held = [send(house, f"{BASE}reserve", reserve_body(house))[2]["reservationId"] for _ in range(2)]
        sold = send(house, f"{BASE}consume", {"reservationId": held[0], "orderId": "o-1"})
        freed = send(house, f"{BASE}release", {"reservationId": held[1]})
        refused = send(house, f"{BASE}release", {"reservationId": held[0]})
        assert (sold[0], freed[0], refused[0]) == (200, 200, 409)
        assert (sold[2]["status"], freed[2]["status"]) == ("CONSUMED", "RELEASED")
        assert refused[2]["code"] == "reservation_consumed"

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"Authorization": "Bearer nobody"}, (401, "not_authenticated")),
            ({"Authorization": ""}, (401, "not_authenticated")),
            ({"Content_Type": "text/plain"}, (415, "unsupported_media_type")),
            ({"Host": "elsewhere.example"}, (400, "invalid")),
            ({"Content_Length": "300000"}, (413, "too_large")),
            ({"Content_Length": str(10**15)}, (413, "too_large")),
        ],
        ids=["wrong token", "no token", "no JSON", "wrong host", "too large", "far too large"],
    )
    def test_an_invalid_request_gets_the_faults(
        self, house: House, headers: dict[str, str], expected: tuple[int, str]
    ) -> None:
        content = b" " * 300_000 if headers.get("Content_Length") == "300000" else reserve_body(house)
        status, _, body = send(house, f"{BASE}reserve", content, **headers)
        assert (status, body["code"]) == expected

    def test_a_body_may_come_in_chunks_and_is_bounded_then_too(self, house: House) -> None:
        content = json.dumps(reserve_body(house)).encode()
        in_chunks = send(house, f"{BASE}reserve", iter([content[:10], content[10:]]))
        too_many = send(house, f"{BASE}reserve", iter([b" " * 100_000] * 3))
        assert (in_chunks[0], too_many[0]) == (201, 413)

    def test_an_incomplete_body_is_not_executed(self, house: House) -> None:
        body = reserve_body(house)
        content = json.dumps(body).encode()
        head = f"POST {BASE}reserve HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.token}\r\n"
        for length in (f"Content-Length: {len(content) + 50}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"):
            chunk = content if "Length" in length else b"%x\r\n%b\r\n" % (len(content), content)
            with socket.create_connection(("127.0.0.1", house.port)) as caller:
                caller.sendall(f"{head}Content-Type: application/json\r\n{length}".encode() + chunk)
        assert send(house, f"{BASE}reserve", reserve_body(house))[0] == 201
        status, _, made = send(house, f"{BASE}reservations?cartId={body['cartId']}", b"", "GET")
        assert (status, made["items"]) == (200, [])

    def test_a_process_that_has_no_thread_left_is_known_to_live(self, house: House) -> None:
        request = f"GET {BASE}levels HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.token}\r\n\r\n"
        with house.database() as database, database.transaction():
            database.execute("LOCK TABLE inventory_warehouse IN ACCESS EXCLUSIVE MODE")
            callers = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(20)]
            for caller in callers:
                caller.sendall(request.encode())
            time.sleep(0.3)
            status, _, _ = call(house, "GET", "/health/live", seconds=5)
        for caller in callers:
            caller.close()
        assert status == 200

    def test_pages_and_files_are_served_from_threads(self, house: House) -> None:
        assert send(house, "/admin/login/", b"", "GET")[0] == 200
        status, headers, style = send(house, "/static/admin/css/base.css", b"", "GET")
        assert (status, headers["content-type"]) == (200, 'text/css; charset="utf-8"')
        assert int(headers["content-length"]) == len(style) > 1000
        status, headers, nothing = send(house, "/static/admin/css/base.css", b"", "HEAD")
        assert (status, int(headers["content-length"]), nothing) == (200, len(style), b"")
        assert send(house, "/api/nowhere", b"", "GET")[0] == 404


def test_a_revoked_token_and_a_used_up_limit_stop_requests_on_the_loop(house: House) -> None:
    web = Web(house, TOKEN_CACHE_SECONDS="0.3", THROTTLE_REQUESTS_PER_MINUTE="40")
    try:
        eventually(lambda: send(house, f"{BASE}reserve", reserve_body(house))[0] == 429, "the limit to be used up")
        with house.database() as database:
            database.execute("UPDATE audit_apitoken SET revoked_at = now()")
            eventually(lambda: send(house, f"{BASE}reserve", reserve_body(house))[0] == 401, "the token to be refused")
            database.execute("UPDATE audit_apitoken SET revoked_at = NULL")
    finally:
        web.kill()


def test_a_used_up_budget_stops_commands_on_the_loop_and_nothing_that_reads(house: House) -> None:
    web = Web(house, THROTTLE_COST_PER_MINUTE="40")
    try:
        eventually(lambda: send(house, f"{BASE}reserve", reserve_body(house))[0] == 429, "the budget to be used up")
        assert send(house, f"{BASE}levels", b"", "GET")[0] == 200
    finally:
        web.kill()


def test_a_server_that_is_terminated_under_load_loses_nothing(house: House) -> None:
    web = Web(house)
    with Load(house) as load:
        for _ in range(2):
            load.run(0.3)
            web.process.send_signal(signal.SIGTERM)
            web.process.wait(PATIENCE_SECONDS)
            time.sleep(0.05)
            web.start()
        load.run(0.1)
    web.kill()
    assert not load.failures, load.failures
    with house.database() as database:
        assert_books_balance(database)
        kept = {row[0] for row in database.execute("SELECT 'res-' || id FROM reservations_reservation").fetchall()}
    assert set(load.held.values()) <= kept


# ---------------------------------------------------------------------------------------- requests that break batches

ODD = ["0E-100000", "0E+100000", "1E-400", "NaN", "9" * 5000, "\0", 1e300, "0." + "0" * 5000]
"""Prices that the API refuses."""
EACH = 60
_TOKENS = """
import django, json
django.setup()
from audit.authentication import issue_token
from tests.factories import make_client
clients = [make_client() for _ in range(2)]
print(json.dumps([[str(client.pk), issue_token(client)] for client in clients]))
"""


class Caller:
    """A client on a connection that it keeps."""

    def __init__(self, house: House, token: str) -> None:
        self._house, self._token = house, token
        self._connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)

    def reserve(self, cart: str, price: Any = None) -> int:
        """Returns the status."""
        line = {"productId": self._house.products[0], "quantity": 1, **({"unitPrice": price} if price else {})}
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        body = json.dumps({"cartId": cart, "items": [line]})
        self._connection.request("POST", "/api/v1/inventory/reserve", body, headers)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        self._connection.close()


def shop(house: House, number: int) -> Counter[int]:
    with closing(Caller(house, house.token)) as caller:
        return Counter(caller.reserve(f"cart-{number}-{index}") for index in range(EACH))


def poison(house: House, token: str, stop: threading.Event) -> tuple[Counter[int], Counter[int]]:
    """The answers to values that break batches, and to those that the API refuses."""
    broke, refused = Counter[int](), Counter[int]()
    with closing(Caller(house, token)) as caller:
        for price in itertools.cycle(ODD):
            broke[caller.reserve("poison")] += 1
            refused[caller.reserve("odd", price)] += 1
            if stop.is_set() and broke.total() > 10:
                return broke, refused
    raise AssertionError


def test_clients_who_break_batches_are_decided_alone_and_the_others_together(house: House) -> None:
    web = Web(house, application="tests.faults.poisonable:application", LOG_LEVEL="INFO")
    clients = json.loads(house.python("-c", _TOKENS))
    stop = threading.Event()
    try:
        with ThreadPoolExecutor(10) as threads:
            poisoners = [threads.submit(poison, house, token, stop) for _, token in clients]
            shoppers = [threads.submit(shop, house, number) for number in range(8)]
            try:
                assert sum((each.result() for each in shoppers), Counter()) == {201: 8 * EACH}
            finally:
                stop.set()
            answers = [each.result() for each in poisoners]
    finally:
        web.kill()
    for broke, refused in answers:
        assert set(broke) == set(refused) == {400}
    log = web.output.read_text().splitlines()
    for id_, _ in clients:  # Each was noted, and no line is written for each further request.
        assert 1 <= sum("client_breaks_batches" in line and id_ in line for line in log) <= 2
    # Only those batches broke that were on their way when their client's first failure was noted.
    broken = [line for line in log if "batch_falls_apart" in line and "Busy" not in line]
    assert 1 <= len(broken) <= 2 * len(clients)
    with house.database() as database:
        assert_books_balance(database)
