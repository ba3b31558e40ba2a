"""The cases, the contestants and the order of the runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import raw
from benchmarks.client import Load
from benchmarks.subject import BASKET_LINES, READ_HOLDS, Subject

RAW: Final = "raw"
PLAIN: Final = "plain"
ALONE: Final = "alone"
COMBINED: Final = "combined"
HISTORY: Final = "history"
WEB: Final = (PLAIN, ALONE, COMBINED)
_TWO: Final = (PLAIN, COMBINED)
_MANY: Final = (1, 16, 64)


@dataclass(frozen=True)
class Case:
    """A kind of request. ``quick`` are the numbers of connections in a quick run, ``raw`` those of pgbench."""

    name: str
    title: str
    verb: str
    hot: bool = False
    lines: int = 1
    connections: tuple[int, ...] = (16,)
    quick: tuple[int, ...] = (16,)
    raw: tuple[int, ...] = ()
    contestants: tuple[str, ...] = WEB
    is_quick: bool = True
    is_large: bool = False
    """Whether the case needs a large catalogue, in a database of its own."""

    @property
    def needs_holds(self) -> bool:
        """Whether each request ends or changes a hold that was prepared."""
        return self.verb in {"extend", "release", "consume"}

    @property
    def is_read(self) -> bool:
        """Whether its requests write no rows."""
        return self.verb in {"check", "product", "cart", "reservation", "sold-out", "low-stock"}

    def prepare(self, subject: Subject, count: int) -> None:
        """Make the rows that this number of requests needs."""
        if self.needs_holds:
            subject.prepare_holds(count, hot=self.hot)
        elif self.verb == "reservation":
            subject.prepare_holds(READ_HOLDS, hot=False)
        elif self.verb in {"basket", "cart"}:
            subject.prepare_baskets(self.lines)
        elif self.verb == "sold-out":
            subject.sell_out()


CASES: Final = (
    Case("reserve-hot", "reserve, HOT", "reserve", hot=True, connections=(1, 16, 64, 128), quick=(16,), raw=(4, 16)),
    Case("reserve-spread", "reserve, SPREAD", "reserve", connections=(1, 16, 64, 128), quick=(16,), raw=(4, 16)),
    Case(
        "sold-out", "reserve, HOT, sold out", "sold-out", hot=True, connections=(16, 64), quick=(64,), contestants=_TWO
    ),
    Case("consume-hot", "consume, HOT", "consume", hot=True, is_quick=False),
    Case("consume-spread", "consume, SPREAD", "consume"),
    Case("release-hot", "release, HOT", "release", hot=True, is_quick=False),
    Case("release-spread", "release, SPREAD", "release"),
    Case("extend", "extend", "extend", contestants=_TWO),
    Case("check-1", "check-availability, 1 line", "check", connections=_MANY, quick=(1, 16), contestants=_TWO),
    Case(
        "check-200",
        "check-availability, 200 lines",
        "check",
        lines=200,
        connections=(1, 16),
        quick=(1,),
        contestants=_TWO,
    ),
    Case(
        "adjust-200",
        "adjust, 200 lines",
        "adjust",
        lines=200,
        contestants=_TWO,
        connections=(4,),
        quick=(4,),
    ),
    Case("product", "product, one SKU", "product", hot=True, connections=_MANY, contestants=_TWO),
    Case("product-spread", "product, 1,000 SKUs", "product", connections=(16, 64), contestants=_TWO, is_quick=False),
    Case("basket-1", "change a basket of 1 line", "basket", connections=_MANY, contestants=_TWO),
    Case(
        "basket",
        f"change a basket of {BASKET_LINES} lines",
        "basket",
        lines=BASKET_LINES,
        contestants=_TWO,
        connections=(1, 16),
        is_quick=False,
    ),
    Case(
        "cart", f"read a cart of {BASKET_LINES} lines", "cart", lines=BASKET_LINES, connections=_MANY, contestants=_TWO
    ),
    Case("reservation", "read a reservation", "reservation", connections=(1, 16), contestants=_TWO, is_quick=False),
    Case(
        "low-stock",
        "low stock, first page",
        "low-stock",
        contestants=_TWO,
        connections=(1, 4),
        quick=(1,),
        is_quick=False,
        is_large=True,
    ),
)
SWEEPS: Final = {"sweep-10k": 10_000, "sweep-100k": 100_000}
HALF: Final = {"half-load-hot": "reserve-hot", "half-load-spread": "reserve-spread"}
IMPORT: Final = "import"
DEMO: Final = "demo"
STREAMS: Final = "streams"
NAMES: Final = (*(case.name for case in CASES), *SWEEPS, IMPORT, *HALF, STREAMS, DEMO)


@dataclass(frozen=True)
class Step:
    """One run. ``way`` is pgbench's way of reserving (see ``raw``), empty for the other contestants."""

    case: Case
    contestant: str
    connections: int
    way: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.case.name, self.contestant, self.way, f"{self.connections} connections")))


@dataclass(frozen=True)
class Sample:
    """The result of one run."""

    case: str
    contestant: str
    connections: int
    way: str
    repeat: int
    load: Load


def steps_of(case: Case, *, is_quick: bool, with_history: bool) -> Iterator[Step]:
    """The runs of one repeat of a case, alternating between contestants."""
    for connections in case.raw[-1:] if is_quick else case.raw:
        for way in raw.WAYS[-1:] if is_quick else raw.WAYS:
            yield Step(case, RAW, connections, way)
    if case.raw:
        yield Step(case, RAW, 1, "batch")
    for connections in case.quick if is_quick else case.connections:
        for contestant in case.contestants:
            if contestant != ALONE or (connections == 16 and (case.raw or not is_quick)):
                yield Step(case, contestant, connections)
        if with_history and not case.is_large:
            yield Step(case, HISTORY, connections)


def chosen(names: Sequence[str]) -> list[str]:
    """Check the names of cases; without names, all cases. Raises ValueError for an unknown name."""
    if unknown := set(names) - set(NAMES):
        raise ValueError(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return [name for name in NAMES if not names or name in names]
