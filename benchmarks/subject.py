"""What is measured over HTTP: this service, or its plain peer. How it is set up, asked, checked and put back."""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.client import Target
from benchmarks.cluster import BenchmarkFailed, Cluster, Connection, call

SKUS: Final = 10_000
"""SPREAD: products 1 to SKUS. HOT: product 0."""
CLOSED: Final = 100_000
"""Closed reservations, with all that belongs to them, that are there from the start."""
HISTORY_ROWS: Final = 10_000_000
"""Closed reservations of a long history, on top."""
ON_HAND: Final = 1_000_000_000
"""More than all runs together take."""
LINES: Final = 200
"""The longest request that the service takes."""

BASKETS: Final = 2_000
"""Baskets that are there before and are changed in turn."""
BASKET_LINES: Final = 5
BASKET: Final = "basket-"
"""What the name of a basket's cart begins with."""

ROUTES: Final = {"check": "check-availability", "basket": "carts"}
METHODS: Final = {"adjust": "PUT", "basket": "PUT", "low-stock": "GET"}


class Subject(ABC):
    """A service, its database and its way of being asked. Verbs: reserve, extend, release, consume, check,
    adjust, basket, low-stock."""

    application: ClassVar[str]
    wsgi_workers: ClassVar[int | None] = None
    """How many processes serve a WSGI application; None for an ASGI one."""
    settings: ClassVar[str]

    def __init__(self, cluster: Cluster, database: str) -> None:
        self.cluster = cluster
        self.database = database
        self.token = ""
        self.marks: dict[str, Any] = {}
        self._numbers = 0

    # --- setting up ----------------------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """What its processes run with, as in production: nothing of this shell's own settings."""
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
            # High, not off: each request is counted.
            "THROTTLE_REQUESTS_PER_MINUTE": "1000000000",
            "THROTTLE_COST_PER_MINUTE": "1000000000",
            **more,
        }

    def manage(self, *arguments: str) -> str:
        """Run a management command."""
        return call([sys.executable, "-m", "django", *arguments], self.environment())

    def seed(self, closed: int) -> None:
        """Make the database: catalogue, stock, closed reservations; vacuumed and analysed before anybody connects.

        Tables that are empty when a connection first plans its foreign-key checks leave it with plans that read whole
        tables ever after.
        """
        self.cluster.create(self.database)
        self.migrate()
        with self.cluster.connect(self.database) as connection:
            # Triggers and foreign-key checks of made-up rows would only take time.
            connection.execute("SET session_replication_role = replica")
            self.insert_catalogue(connection)
            self.insert_closed(connection, 1, closed)
            self.marks = self.read_marks(connection)
            connection.execute("VACUUM (ANALYZE, FREEZE)")
            connection.execute("CHECKPOINT")
        self.token = self.issue_token()

    @abstractmethod
    def migrate(self) -> None:
        """Make the tables."""

    @abstractmethod
    def issue_token(self) -> str:
        """A token that may do everything."""

    @abstractmethod
    def insert_catalogue(self, connection: Connection) -> None:
        """Products, a warehouse, levels."""

    @abstractmethod
    def insert_closed(self, connection: Connection, first: int, last: int) -> None:
        """Closed reservations of these numbers."""

    @abstractmethod
    def read_marks(self, connection: Connection) -> dict[str, Any]:
        """Where the seed ends, by name: what is younger is the runs'. Parameters of all queries below."""

    # --- asking --------------------------------------------------------------------------------------------------

    @abstractmethod
    def path(self, verb: str) -> str:
        """Where a verb is asked for."""

    @abstractmethod
    def authorization(self) -> str:
        """The header."""

    @abstractmethod
    def body(self, verb: str, number: int, products: Sequence[int]) -> dict[str, Any]:
        """A request, of the hold with this number or of these products."""

    @abstractmethod
    def basket(self, products: Sequence[int], quantities: Sequence[int]) -> dict[str, Any]:
        """A basket of so many units of these products."""

    @abstractmethod
    def insert_holds(self, connection: Connection, first: int, last: int, *, hot: bool, due: bool) -> None:
        """Active holds of these numbers, one unit each, on the hot product or on all others in turn."""

    @abstractmethod
    def insert_baskets(self, connection: Connection) -> None:
        """Active holds of all baskets, each of ``BASKET_LINES`` products in the quantities of round -1."""

    def target(self, verb: str, port: int) -> Target:
        """Where and how a verb is asked for."""
        return Target(port, METHODS.get(verb, "POST"), self.path(verb), self.authorization())

    def bodies(self, verb: str, count: int, *, hot: bool, lines: int) -> list[str]:
        """Requests, each for other products than the one before; or for another basket, round after round.

        A request with a path of its own is that path, a tab and the body.
        """
        return [
            self._request(verb, number, hot=hot, lines=lines) for number in range(self._numbers, self._numbers + count)
        ]

    def _request(self, verb: str, number: int, *, hot: bool, lines: int) -> str:
        if METHODS.get(verb) == "GET":
            return ""
        if verb == "basket":
            turn, basket = divmod(number, BASKETS)
            products = products_of(basket, hot=False, lines=BASKET_LINES)
            return f"{self.path(verb)}/{BASKET}{basket}\t{_written(self.basket(products, basket_quantities(turn)))}"
        return _written(self.body(verb, number, products_of(number, hot=hot, lines=lines)))

    def prepare_holds(self, count: int, *, hot: bool, due: bool = False) -> None:
        """Make the holds that the next ``count`` bodies speak of."""
        with self.cluster.connect(self.database) as connection:
            connection.execute("SET session_replication_role = replica")
            self.insert_holds(connection, self._numbers, self._numbers + count - 1, hot=hot, due=due)
            connection.execute(f"{'VACUUM (ANALYZE)' if due else 'ANALYZE'} {', '.join(self.hold_tables)}".encode())

    def prepare_baskets(self) -> None:
        """Make the baskets that bodies of ``basket`` change."""
        with self.cluster.connect(self.database) as connection:
            connection.execute("SET session_replication_role = replica")
            self.insert_baskets(connection)
            connection.execute(f"ANALYZE {', '.join(self.hold_tables)}".encode())

    # --- checking and putting back -------------------------------------------------------------------------------

    hold_tables: ClassVar[tuple[str, ...]]
    """Where holds are, their items, and the stock levels."""
    broken: ClassVar[dict[str, str]]
    """Rules of the books, each with a query for the rows that break it."""
    rows: ClassVar[dict[str, str]]
    """By verb, how many rows a successful request of it left: a query for the number of all."""
    undo: ClassVar[tuple[str, ...]]
    """What takes back all that happened since the seed."""

    def count(self, verb: str) -> int:
        """How often a verb was done since the seed, by the rows that it left."""
        with self.cluster.connect(self.database) as connection:
            row = connection.execute(self.rows[verb].encode(), self.marks).fetchone()
            return int(row[0]) if row else 0

    def check_books(self) -> None:
        """Raise BenchmarkFailed where a rule doesn't hold."""
        with self.cluster.connect(self.database) as connection:
            for rule, query in self.broken.items():
                if rows := connection.execute(query.encode(), self.marks).fetchmany(3):
                    raise BenchmarkFailed(f"{self.database}: the books don't balance: {rule}: {rows}")

    def restore(self) -> None:
        """Take back what was done since the seed, so that each run meets the same tables."""
        self._numbers = 0
        with self.cluster.connect(self.database) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in self.undo:
                # VACUUM takes no parameters.
                connection.execute(statement.encode(), self.marks if "%(" in statement else None)


def _written(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def products_of(number: int, *, hot: bool, lines: int) -> list[int]:
    """The products of a request: the hot one, or others in turn; all the lines of a request differ."""
    if hot and lines == 1:
        return [0]
    # A step that has no divisor in common with SKUS comes by every product, neighbours far apart.
    return [1 + (number * lines + line) * 3989 % SKUS for line in range(lines)]


def basket_quantities(turn: int) -> list[int]:
    """The units of a basket's lines in a round: each line has one to three, and another number in the next round."""
    return [1 + (turn + line) % 3 for line in range(BASKET_LINES)]


BASKET_SUMS: Final = ", ".join(sorted({str(sum(basket_quantities(turn))) for turn in range(3)}))
"""How many units a basket may have, for SQL."""
