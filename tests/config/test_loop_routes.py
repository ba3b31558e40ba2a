"""Each route of the event loop answers there what it answers in a thread: to random requests, good and bad.

A request is sent both ways by clients of their own. What a request may change is prepared twice, from the same random
numbers, and ids and times are left out of the comparison. Reads are compared to the byte, with their tags.
"""

import gzip
import json
import re
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from audit.authentication import find_caller, issue_token
from audit.feed.cursors import Seen
from audit.roles import Role
from config import on_loop, throttling
from config.loop_routes import Routes
from inventory.models import Product
from reservations.api.holds import answers as holds_answers
from tests.both_ways import Answer, ask, make_application, through_django
from tests.factories import hold, make_client, make_product, make_store, make_variant, make_warehouse, receive
from tests.loops import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
BASE: Final = "/api/v1/inventory/"
OLD: Final = "/api/inventory/"
P: Final = "01900000-0000-7000-8000-00000000000a"
ROUNDS: Final = 40
CLIENTS: Final[dict[str, tuple[Role, tuple[str, ...]]]] = {
    "manager": (Role.MANAGER, ()),
    "of two stores": (Role.CHECKOUT, ("main", "outlet")),
    "of one store": (Role.CHECKOUT, ("outlet",)),
    "auditor": (Role.AUDITOR, ()),
}


class Request(NamedTuple):
    """A request below ``BASE``. ``body`` is JSON, or bytes as they are sent."""

    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Scene:
    """Stock, carts and orders. Scenes of the same random numbers differ in ids and in their name alone."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.random = name, Random(seed)
        self.products: list[Product] = []
        self.holds: list[str] = []
        parent = make_product()
        for product in (make_product(), parent, make_variant(parent), make_variant(parent), make_product()):
            self.products.append(product)
            for warehouse in self.random.sample(("wh-001", "wh-002", "elsewhere"), self.random.randint(1, 3)):
                level = receive(product, self.random.randint(2, 20), warehouse)
                if warehouse != "elsewhere" and self.random.random() < 0.8:
                    held = hold((level, 1), cart_id=self.cart(), customer_id=f"shopper-{name}")
                    self.holds.append(str(held.id))
                    held = hold((level, 1), cart_id=None, order_id=self.order())
                    self.holds.append(str(held.id))
        self.products.append(make_product(is_active=False))

    def cart(self) -> str:
        """The id of a cart that may hold something."""
        return f"cart-{self.name}-{self.random.randint(1, 4)}"

    def own_cart(self) -> dict[str, str]:
        """A cart of a body, or none."""
        return {"cartId": self.cart()} if self.random.random() < 0.5 else {}

    def order(self) -> str:
        """The id of an order that may hold something."""
        return f"order-{self.name}-{self.random.randint(1, 4)}"

    def hold(self) -> str:
        """The public id of a reservation; sometimes of none."""
        return f"res-{self.random.choice([*self.holds, uuid4()])}"

    def product(self) -> str:
        """The id of a product or variant; sometimes of none."""
        return str(self.random.choice([*(product.pk for product in self.products), uuid4()]))

    def place(self) -> dict[str, str]:
        """A warehouse of a body or a query, or none."""
        names = ("wh-001", "wh-002", "elsewhere", "nowhere")
        return {"warehouseId": self.random.choice(names)} if self.random.random() < 0.4 else {}

    def shop(self) -> dict[str, str]:
        """A store of a body or a query, or none."""
        names = ("main", "outlet", "nowhere")
        return {"storeId": self.random.choice(names)} if self.random.random() < 0.5 else {}

    def basket(self, most: int = 4) -> list[dict[str, Any]]:
        """Lines of a body."""
        return [self.line() for _ in range(self.random.randint(1, most))]

    def line(self) -> dict[str, Any]:
        """A line of a body. A variant is named alone, or with its parent or another product."""
        line = {"productId": self.product(), "quantity": self.random.randint(1, 4), **self.place()}
        return line if self.random.random() < 0.7 else {**line, "variantId": self.product()}

    def sample(self) -> dict[str, str]:
        """Parameters of a list of levels."""
        given = {"ids": f"{self.product()},{self.product()}", "limit": "2", "updatedSince": "2020-01-01T00:00:00Z"}
        return {name: given[name] for name in self.random.sample(sorted(given), self.random.randint(0, 2))}

    def wanted(self) -> dict[str, str]:
        """Parameters of a list of reservations."""
        given = {"cartId": self.cart(), "orderId": self.order(), "status": "ACTIVE", "limit": "1", **self.shop()}
        return {name: given[name] for name in self.random.sample(sorted(given), self.random.randint(0, 3))}

    def selector(self) -> dict[str, str]:
        """What selects reservations in a body."""
        return self.random.choice(
            [{"cartId": self.cart()}, {"orderId": self.order()}, {"reservationId": self.hold()}, {}]
        )


def queried(path: str, query: dict[str, str]) -> Request:
    """A request to read."""
    return Request(f"{path}?{urlencode(query)}".rstrip("?"))


Make = Callable[[Scene], Request]
ROUTES: Final[dict[tuple[str, str], Make]] = {
    ("POST", "check-availability"): lambda scene: Request(
        "check-availability",
        {"items": scene.basket(scene.random.choice((6, 6, 6, 99))), **scene.shop(), **scene.own_cart()},
    ),
    ("POST", "reserve"): lambda scene: Request(
        scene.random.choice(("reserve", "reserve", "reserve?dryRun=true")),
        {"items": scene.basket(2), "cartId": scene.cart(), **scene.shop()},
    ),
    ("POST", "extend"): lambda scene: Request("extend", {"minutes": scene.random.randint(0, 60)} | scene.selector()),
    ("POST", "release"): lambda scene: Request("release", scene.selector()),
    ("POST", "consume"): lambda scene: Request("consume", {"orderId": scene.order()} | scene.selector()),
    ("GET", "levels"): lambda scene: queried("levels", {**scene.place(), **scene.shop(), **scene.sample()}),
    ("GET", "reservations"): lambda scene: queried("reservations", scene.wanted()),
    ("GET", "reservations/<str:reservation_id>"): lambda scene: Request(f"reservations/{scene.hold()}"),
    ("GET", "<any-case-uuid:product_id>"): lambda scene: queried(scene.product(), scene.place()),
    ("GET", "<any-case-uuid:product_id>/levels/<str:warehouse_id>"): lambda scene: Request(
        f"{scene.product()}/levels/{scene.random.choice(('wh-001', 'wh-002', 'elsewhere', 'nowhere'))}"
    ),
    ("GET", "carts/<str:cart_id>"): lambda scene: queried(f"carts/{scene.cart()}", scene.shop()),
    ("PUT", "carts/<str:cart_id>"): lambda scene: Request(
        f"carts/{scene.cart()}", {"items": scene.basket(3) if scene.random.random() < 0.8 else [], **scene.shop()}
    ),
    ("DELETE", "carts/<str:cart_id>"): lambda scene: queried(f"carts/{scene.cart()}", scene.shop()),
}
"""A random request for each method and route of the loop. A new one needs a line here."""


@pytest.fixture(autouse=True)
def _minute_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count what clients send and cost, from now on, in one window: answers say what is left."""
    monkeypatch.setattr(throttling, "_WINDOW_SECONDS", 10**9)
    for name in ("_requests", "_costs"):
        monkeypatch.setattr(throttling, name, throttling._Counter(f"{name}-{uuid4()}"))


@pytest.fixture(autouse=True)
def _endless_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write at most 1 as the seconds that holds have left: a second may pass between the answers that are compared."""
    seconds_left = holds_answers._seconds_left
    monkeypatch.setattr(holds_answers, "_seconds_left", lambda *arguments: min(seconds_left(*arguments), 1))


@pytest.fixture(autouse=True)
def _without_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let code ask the database on an event loop, where Django would refuse it: ``ask`` finds who does so."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(autouse=True)
def _one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write cursors of events without transaction ids: transactions in other databases of the server change these."""
    monkeypatch.setattr(Seen, "__str__", lambda seen: f"{seen.last_tick}.{seen.max_position}.1-1")


@pytest.fixture(autouse=True)
def _places() -> None:
    make_store("outlet", "wh-002", is_default=False)
    make_warehouse("elsewhere")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The patterns of the routes of the requests that are answered on the loop."""
    found: list[str] = []
    answer = on_loop.answer

    async def noting(handed_in: on_loop.HandedIn, *others: Any) -> None:
        found.append(handed_in.route.pattern)
        await answer(handed_in, *others)

    monkeypatch.setattr(on_loop, "answer", noting)
    return found


def test_each_route_of_the_loop_is_compared() -> None:
    known = {(method, f"{base}{route}") for method, route in ROUTES for base in (BASE, OLD)}
    assert {(method, route.pattern) for route in Routes() for method in route.view.on_loop} == known


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=str)
def test_both_ways_answer_alike(method: str, route: str, taken: list[str]) -> None:
    """Half of the requests are good ones, the others have something wrong."""
    application, seed = make_application(), uuid4().int
    scenes = [Scene("aa", seed), Scene("bb", seed)]
    tokens = [{name: token_of(*kind) for name, kind in CLIENTS.items()} for _ in scenes]
    for number in range(ROUNDS):
        random = Random(seed + number)
        base, client = random.choice((BASE, BASE, OLD)), random.choice(["manager", *CLIENTS])
        change = random.choice(SPOILS) if number % 2 else as_clients_vary
        requests = [change(Random(seed - number), ROUTES[method, route](scene)) for scene in scenes]
        if method == "GET":
            requests = [requests[0]] * 2  # A read changes nothing: its answers are the same to the byte.
        ways = list(zip((partial(ask, application=application), through_django), requests, tokens, strict=True))
        one, other = (answer_by(way, method, base, request, each[client]) for way, request, each in ways)
        assert one == other, (seed, number, client, base, requests)
    # A spoiled path may be that of another route.
    assert not {f"{base}{route}" for base in (BASE, OLD)}.isdisjoint(taken), seed


def test_clients_that_are_known_send_long_bodies_without_waiting_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    application, token = make_application(), token_of(Role.MANAGER, ())
    asked: list[object] = []

    async def noting(*arguments: object) -> bool:
        asked.append(arguments)
        return False

    monkeypatch.setattr(application._lanes.others, "run", noting)
    for sent, expected in ((token, True), ("nobody", False)):
        scope = {"path": f"{BASE}adjust", "headers": [(b"authorization", f"Bearer {sent}".encode())]}
        assert run(application._ask_who(scope)) is expected
    assert len(asked) == 1


def token_of(role: Role, stores: tuple[str, ...]) -> str:
    """The token of a new client, which is known to the process: the loop asks no database."""
    token = issue_token(make_client(role, stores=stores))
    assert find_caller(token)
    return token


def answer_by(way: Callable[..., Answer], method: str, base: str, request: Request, token: str) -> Any:
    """What is compared of an answer. The tag of a read is sent back, and is to be answered alike, too."""
    headers = (("x-request-id", "r-1"), *request.headers)
    body = request.body if isinstance(request.body, bytes) else b"" if request.body is None else json_of(request.body)
    got = way(token, base + request.path, body, *headers, method=method)
    if method != "GET":
        return masked(got)
    if "Etag" not in got[1]:
        return without_seconds(got)
    headers = (*(each for each in headers if each[0] != "if-none-match"), ("if-none-match", got[1]["Etag"]))
    again = way(token, base + request.path, body, *headers, method=method)
    return without_seconds(got), without_seconds(again)


def without_seconds(answer: Answer) -> Answer:
    """An answer without the seconds until the client's limits begin anew."""
    status, headers, body = answer
    return status, {name: _SECONDS.sub("", value) for name, value in headers.items()}, body


def json_of(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def masked(answer: Answer) -> Answer:
    """An answer without what differs between two scenes: ids, names and times."""
    status, headers, body = answer
    if headers.get("Content-Encoding") == "gzip":
        body, headers = gzip.decompress(body), {**headers, "Content-Length": ""}
    return status, {name: _masked(value) for name, value in headers.items()}, _masked(body.decode()).encode()


def _masked(text: str) -> str:
    ids: dict[str, str] = {}
    text = _ID.sub(lambda found: ids.setdefault(found[0], f"<id {len(ids)}>"), text)
    return _VARYING.sub("<varies>", text)


_SCENE: Final = re.compile(r"\b(?:aa|bb)\b")
_SECONDS: Final = re.compile(r";t=\d+")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VARYING: Final = re.compile(
    r"\b(aa|bb)\b|SKU-\d+|Product \d+|\d{4}-\d\d-\d\dT[\d:.]+Z?|(?<=InSeconds\":)\d+|;t=\d+|(?<=\b)client-\d+"
)


# --- what is wrong with a request ---------------------------------------------------------------------------------


def as_clients_vary(random: Random, request: Request) -> Request:
    """A good request, with headers that clients send."""
    headers = dict(random.sample(VARIED, random.randint(0, 2)))
    return request._replace(headers=tuple(headers.items()))


VARIED: Final = (
    ("accept-encoding", "gzip"),
    ("accept-encoding", "gzip;q=0"),
    ("idempotency-key", "k-1"),
    ("idempotency-key", "k-2"),
    ("content-type", "application/json; charset=utf-8"),
)


def with_header(random: Random, request: Request) -> Request:
    """With a header that is wrong, or that needs a thread."""
    wrong = (
        ("if-none-match", "W/"),
        ("if-none-match", "*"),
        ("if-none-match", '"x", "y"'),
        ("if-match", '"7"'),
        ("idempotency-key", "k" * 256),
        ("idempotency-key", "ä"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("authorization", "Bearer nobody"),
    )
    return request._replace(headers=(random.choice(wrong),))


def with_query(random: Random, request: Request) -> Request:
    """With a query that the route doesn't take, or a parameter that it takes only once."""
    wrong = (
        *("unknown=1", "storeId=%00", "storeId=a&storeId=b", "limit=1e3", "cartId=%C3%A4", "cartId=%ff", "=", "&&"),
        *("warehouseId=null", "warehouseId=", "storeId=nowhere", "dryRun=true", "dryRun=yes", "expand=%20", "a+b=c+d"),
    )
    joined = "&" if "?" in request.path else "?"
    return request._replace(path=f"{request.path}{joined}{random.choice(wrong)}")


def with_path(random: Random, request: Request) -> Request:
    """With another last segment. It keeps the name of its scene: a cart that both put would be new to one only."""
    before, _, query = request.path.partition("?")
    first, _, named = before.rpartition("/")
    last = random.choice(
        ("%00", "a%00b", "%C3%A4", "a%2Fb", "x" * 300, "res-4711", "a%20b", "..", "", P.upper(), "%7B")
    )
    scene = "".join(f"-{name}" for name in _SCENE.findall(named))
    return request._replace(path=f"{first}/{last}{scene}?{query}".lstrip("/").rstrip("?"))


def with_body(random: Random, request: Request) -> Request:
    """With another body: broken, or a field that is left out, unknown, or of another type."""
    whole = request.body
    if not isinstance(whole, dict) or random.random() < 0.3:
        return request._replace(
            body=random.choice((b"", b" ", b"{", b"[]", b"\xff", b"null", b'{"a": 1}', b"\x1f\x8b"))
        )
    name = random.choice([*whole, "items", "cartId", "x"])
    wrong = (None, "", "a\0b", "ä" * 65, 0, -1, 1.5, 10**30, True, [], {}, [{}], "x" * 300, "\u202e", "null")
    changed = {**whole, name: random.choice(wrong)}
    if random.random() < 0.3 and whole.get("items"):
        line = {**whole["items"][0], random.choice(("productId", "quantity", "y")): random.choice(wrong)}
        changed = {**whole, "items": [*whole["items"], line]}
    return request._replace(
        body=changed if random.random() < 0.8 else {each: whole[each] for each in whole if each != name}
    )


SPOILS: Final = (with_header, with_query, with_path, with_body, with_body)
