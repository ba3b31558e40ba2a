"""The base of the subjects that are measured over HTTP, this service and its plain peer: set up, requests, checks and
clean-up."""

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.client import Target
from benchmarks.cluster import BenchmarkFailed, Cluster, Connection, call

SKUS: Final = 10_000
"""SPREAD: products 1 to SKUS. HOT: product 0."""
CLOSED: Final = 100_000
"""Closed reservations, with all related rows, that exist from the start."""
HISTORY_ROWS: Final = 10_000_000
"""Additional closed reservations of a long history."""
ON_HAND: Final = 1_000_000_000
"""Units on hand per product: more than all runs together take."""
LINES: Final = 200
"""The most lines that the service accepts in a request."""

READ_SKUS: Final = 1_000
"""The products that requests for a product read in turn, unless it is the hot one."""
BASKETS: Final = 2_000
"""Prepared baskets, which requests change or read in turn."""
BASKET_LINES: Final = 5
READ_HOLDS: Final = 2_000
"""Prepared holds, which requests read in turn."""
SETTLE_SECONDS: Final = 0.3
SETTLE_POLLS: Final = 50
BASKET: Final = "basket-"
"""The prefix of a basket's cart id."""

ROUTES: Final = {
    "check": "check-availability",
    "basket": "carts",
    "cart": "carts",
    "reservation": "reservations",
    "sold-out": "reserve",
}
METHODS: Final = {
    "adjust": "PUT",
    "basket": "PUT",
    "cart": "GET",
    "low-stock": "GET",
    "product": "GET",
    "reservation": "GET",
}


class Subject(ABC):
    """A service, its database and its requests. The verbs are reserve, extend, release, consume, check, adjust, basket
    (which changes it), sold-out (a reserve that is refused), and the reads product, cart, reservation and low-stock."""

    application: ClassVar[str]
    wsgi_workers: ClassVar[int | None] = None
    """The number of processes of a WSGI application; None for an ASGI application."""
    settings: ClassVar[str]

    def __init__(self, cluster: Cluster, database: str) -> None:
        self.cluster = cluster
        self.database = database
        self.token = ""
        self.marks: dict[str, Any] = {}
        self._numbers = 0

    # --- set-up --------------------------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of its processes: production settings, none of this shell's own settings."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": os.fspath(Path(__file__).resolve().parent.parent),
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DATABASE_URL": self.cluster.url(self.database),
            "REDIS_URL": self.cluster.redis_url,
            "DEBUG": "false",
            "SECRET_KEY": "only-for-the-benchmark-" + "x" * 40,
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATA_DIR": os.fspath(self.cluster.data_dir),
            "STATIC_ROOT": os.fspath(self.cluster.data_dir),
            # High instead of off, so that each request is counted.
            "THROTTLE_REQUESTS_PER_MINUTE": "1000000000",
            "THROTTLE_COST_PER_MINUTE": "1000000000",
            **more,
        }

    def manage(self, *arguments: str) -> str:
        """Run a management command."""
        return call([sys.executable, "-m", "django", *arguments], self.environment())

    def seed(self, closed: int) -> None:
        """Create the database with catalogue, stock and closed reservations; vacuum and analyse it before the service
        connects.

        If tables are empty when a connection first plans its foreign-key checks, it keeps plans that read whole tables.
        """
        self.cluster.create(self.database)
        self.migrate()
        with self.cluster.connect(self.database) as connection:
            # Skip triggers and foreign-key checks: they would only take time for generated rows.
            connection.execute("SET session_replication_role = replica")
            self.insert_catalogue(connection)
            self.insert_closed(connection, 1, closed)
            self.marks = self.read_marks(connection)
            connection.execute("VACUUM (ANALYZE, FREEZE)")
            connection.execute("CHECKPOINT")
        self.token = self.issue_token()

    @abstractmethod
    def migrate(self) -> None:
        """Create the tables."""

    @abstractmethod
    def issue_token(self) -> str:
        """Issue a token that may do everything."""

    @abstractmethod
    def insert_catalogue(self, connection: Connection) -> None:
        """Insert products, a warehouse and levels."""

    @abstractmethod
    def insert_closed(self, connection: Connection, first: int, last: int) -> None:
        """Insert closed reservations with these numbers."""

    @abstractmethod
    def read_marks(self, connection: Connection) -> dict[str, Any]:
        """The last ids of the seed, by name: later rows are those of the runs. Parameters of all queries below."""

    # --- requests ------------------------------------------------------------------------------------------------

    @abstractmethod
    def path(self, verb: str) -> str:
        """The path of a verb's route."""

    @abstractmethod
    def authorization(self) -> str:
        """The Authorization header."""

    @abstractmethod
    def body(self, verb: str, number: int, products: Sequence[int]) -> dict[str, Any]:
        """The body of a request, about the hold with this number or about these products."""

    @abstractmethod
    def read_path(self, verb: str, number: int) -> str:
        """The path of the product, or of the prepared hold, with this number."""

    @abstractmethod
    def basket(self, products: Sequence[int], quantities: Sequence[int]) -> dict[str, Any]:
        """The body of a basket with these quantities of these products."""

    @abstractmethod
    def insert_holds(self, connection: Connection, first: int, last: int, *, hot: bool, due: bool) -> None:
        """Insert active holds with these numbers, one unit each, of the hot product or of all others in turn."""

    @abstractmethod
    def insert_baskets(self, connection: Connection, lines: int) -> None:
        """Insert active holds for all baskets, each of so many products with the quantities of round -1."""

    def target(self, verb: str, port: int) -> Target:
        """The load's target for a verb."""
        expected = "409" if verb == "sold-out" else "2"
        return Target(port, METHODS.get(verb, "POST"), self.path(verb), self.authorization(), expected)

    def bodies(self, verb: str, count: int, *, hot: bool, lines: int) -> list[str]:
        """The bodies of requests, each for other products than the one before, or for the next basket, in rounds.

        A request with a path of its own is that path, a tab and the body.
        """
        return [
            self._request(verb, number, hot=hot, lines=lines) for number in range(self._numbers, self._numbers + count)
        ]

    def _request(self, verb: str, number: int, *, hot: bool, lines: int) -> str:
        turn, basket = divmod(number, BASKETS)
        match verb:
            case "low-stock":
                return ""
            case "product":
                return f"{self.read_path(verb, 0 if hot else 1 + number % READ_SKUS)}\t"
            case "reservation":
                return f"{self.read_path(verb, number % READ_HOLDS)}\t"
            case "cart":
                return f"{self.path(verb)}/{BASKET}{basket}\t"
            case "basket":
                products = products_of(basket, hot=False, lines=lines)
                body = _written(self.basket(products, basket_quantities(turn, lines)))
                return f"{self.path(verb)}/{BASKET}{basket}\t{body}"
        return _written(self.body(verb, number, products_of(number, hot=hot, lines=lines)))

    def prepare_holds(self, count: int, *, hot: bool, due: bool = False) -> None:
        """Make the holds for the next ``count`` bodies."""
        with self.cluster.connect(self.database) as connection:
            connection.execute("SET session_replication_role = replica")
            self.insert_holds(connection, self._numbers, self._numbers + count - 1, hot=hot, due=due)
            connection.execute(f"{'VACUUM (ANALYZE)' if due else 'ANALYZE'} {', '.join(self.hold_tables)}".encode())

    def prepare_baskets(self, lines: int) -> None:
        """Make the baskets, of so many lines each, that requests change or read."""
        with self.cluster.connect(self.database) as connection:
            connection.execute("SET session_replication_role = replica")
            self.insert_baskets(connection, lines)
            connection.execute(f"ANALYZE {', '.join(self.hold_tables)}".encode())

    def sell_out(self) -> None:
        """Ship all units of the hot product."""
        with self.cluster.connect(self.database) as connection:
            for statement in self.sold_out:
                connection.execute(statement.encode())

    # --- checks and clean-up -------------------------------------------------------------------------------------

    hold_tables: ClassVar[tuple[str, ...]]
    """The tables of holds, items and stock levels."""
    broken: ClassVar[dict[str, str]]
    """Rules of the books, each with a query for the rows that break it."""
    rows: ClassVar[dict[str, str]]
    """By verb, a query for the number of its successful requests, counted by the rows that they wrote."""
    sold_out: ClassVar[tuple[str, ...]]
    """The statements that ship all units of the hot product."""
    answers: ClassVar[dict[str, dict[str, Any]]]
    """By verb that writes no rows, some fields of each of its answers."""
    undo: ClassVar[tuple[str, ...]]
    """The statements that undo all changes since the seed."""

    def count(self, verb: str) -> int:
        """The number of executed requests of a verb since the seed, counted by the rows they wrote."""
        with self.cluster.connect(self.database) as connection:
            row = connection.execute(self.rows[verb].encode(), self.marks).fetchone()
            return int(row[0]) if row else 0

    def settled_count(self, verb: str) -> int:
        """``count``, once the requests that a load left unanswered have ended, too."""
        before = self.count(verb)
        for _ in range(SETTLE_POLLS):
            time.sleep(SETTLE_SECONDS)
            now = self.count(verb)
            if now == before:
                return now
            before = now
        raise BenchmarkFailed(f"{self.database}: requests still end long after the load")

    def check_books(self) -> None:
        """Raise BenchmarkFailed if a rule of the books is broken."""
        with self.cluster.connect(self.database) as connection:
            for rule, query in self.broken.items():
                if rows := connection.execute(query.encode(), self.marks).fetchmany(3):
                    raise BenchmarkFailed(f"{self.database}: the books don't balance: {rule}: {rows}")

    def restore(self) -> None:
        """Undo all changes since the seed, so that each run starts with the same tables."""
        self._numbers = 0
        with self.cluster.connect(self.database) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in self.undo:
                # VACUUM takes no parameters.
                connection.execute(statement.encode(), self.marks if "%(" in statement else None)


def _written(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def products_of(number: int, *, hot: bool, lines: int) -> list[int]:
    """The products of a request: the hot one, or others in turn. All lines of a request have different products."""
    if hot and lines == 1:
        return [0]
    # A step without a common divisor with SKUS reaches every product and keeps consecutive ones far apart.
    return [1 + (number * lines + line) * 3989 % SKUS for line in range(lines)]


def basket_quantities(turn: int, lines: int) -> list[int]:
    """The units of a basket's lines in a round: one to three each, and different in the next round."""
    return [1 + (turn + line) % 3 for line in range(lines)]


BASKET_SUMS: Final = ", ".join(
    sorted(f"({lines}, {sum(basket_quantities(turn, lines))})" for lines in (1, BASKET_LINES) for turn in range(3))
)
"""The possible numbers of lines of a basket, each with a possible sum of its units, for SQL."""
