"""The kinds of metrics: what code may do with one.

A metric counts nothing until ``attach`` gives it a place to count in (``store.begin``).
"""

from bisect import bisect_left
from collections import Counter as Numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import partial
from time import perf_counter
from typing import Any, ClassVar, Final, Protocol

import structlog

logger = structlog.get_logger(__name__)

OTHER: Final = "other"
"""What a label says instead of a value that its metric doesn't know."""

Labels = tuple[str, ...]
_NONE: Final[Mapping[str, Sequence[str]]] = {}


class Cell(Protocol):
    """Where the numbers of one metric with certain labels are kept: a child of a metric of ``prometheus_client``."""

    _buckets: "Sequence[Cell]"
    _sum: "Cell"

    def inc(self, amount: float = 1) -> None: ...
    def set(self, value: float) -> None: ...


MakeCell = Callable[[Labels], Cell]


class Metric:
    """A metric of the service.

    ``labels`` are names; ``values`` lists the values of those whose values are known: a value that isn't listed is
    counted as ``other``, and each listed one is there from the start with 0. No label has values that a caller chooses.
    """

    kind: ClassVar[str]
    is_counted: ClassVar[bool] = True
    """Whether processes count it; else it is read from the database."""

    def __init__(
        self, name: str, help_: str, labels: Labels = (), *, values: Mapping[str, Sequence[str]] = _NONE
    ) -> None:
        self.name = name
        self.help = help_
        self.labels = labels
        self.values = values
        self._make: MakeCell | None = None
        self._cells: dict[Labels, Cell] = {}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    @property
    def is_on(self) -> bool:
        """Whether it is counted. If not, callers needn't compute values for it."""
        return self._make is not None

    def attach(self, make: MakeCell | None) -> None:
        """Count in the cells that ``make`` makes from now on; None for nowhere."""
        self._cells = {}
        self._make = make

    def _cell(self, labels: Labels) -> Cell:
        cell = self._cells.get(labels)
        if cell is None:
            assert self._make is not None  # noqa: S101 - for the types: callers ask before
            cell = self._cells[labels] = self._make(self._known(labels))
        return cell

    def _give_up(self, error: OSError) -> None:
        """Count nothing more of this: its file can't be written, and that is no reason to refuse a request."""
        self.attach(None)
        logger.warning("metric_not_kept", metric=self.name, error=str(error))

    def _known(self, labels: Labels) -> Labels:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {len(labels)}")
        return tuple(
            value if value in self.values.get(name, (value,)) else OTHER
            for name, value in zip(self.labels, labels, strict=True)
        )


class Counter(Metric):
    """A number that only rises. Its name ends with ``_total``."""

    kind = "counter"

    def add(self, amount: float, *labels: str) -> None:
        """Count at once. Not for effects of a transaction that may still be rolled back."""
        if self._make is not None and amount:
            try:
                self._cell(labels).inc(amount)
            except OSError as error:
                self._give_up(error)

    def add_after_commit(self, amount: float, *labels: str) -> None:
        """Count once this transaction is committed; not at all if it isn't, and once however often it is retried."""
        if self._make is not None and amount:
            after_commit(partial(self.add, amount, *labels))

    def add_each_after_commit(self, values: Iterable[str]) -> None:
        """``add_after_commit`` for many, each with its value of the metric's only label."""
        if self._make is not None:
            for value, number in Numbers(values).items():
                self.add_after_commit(number, value)


class Histogram(Metric):
    """Numbers of observations by size. ``buckets`` are upper bounds, ascending."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        help_: str,
        labels: Labels = (),
        *,
        buckets: Sequence[float],
        values: Mapping[str, Sequence[str]] = _NONE,
    ) -> None:
        super().__init__(name, help_, labels, values=values)
        self.buckets = tuple(map(float, buckets))

    def observe(self, amount: float, *labels: str) -> None:
        """Count an observation at once."""
        if self._make is not None:
            try:
                cell = self._cell(labels)
                # The library's own ``observe`` looks at each bucket in turn, which takes twice as long.
                cell._buckets[bisect_left(self.buckets, amount)].inc(1)
                cell._sum.inc(amount)
            except OSError as error:
                self._give_up(error)

    def time(self) -> AbstractContextManager[object]:
        """Count how long the block takes, in seconds, whether or not it raises."""
        return _UNTIMED if self._make is None else _Timer(self)

    def observe_after_commit(self, amounts: Sequence[float], *labels: str) -> None:
        """Count these observations once this transaction is committed; not at all if it isn't."""
        if self._make is not None and amounts:
            after_commit(partial(self.observe_all, amounts, *labels))

    def observe_all(self, amounts: Sequence[float], *labels: str) -> None:
        """Count many observations at once: each bucket of them is written once."""
        if self._make is None:
            return
        try:
            cell = self._cell(labels)
            for bucket, number in Numbers(bisect_left(self.buckets, amount) for amount in amounts).items():
                cell._buckets[bucket].inc(number)
            cell._sum.inc(sum(amounts))
        except OSError as error:
            self._give_up(error)


class ProcessGauge(Metric):
    """A number of this process that rises and falls. Served as the sum over all living processes of the machine."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        """Set this process's part of the number."""
        if self._make is not None:
            try:
                self._cell(labels).set(value)
            except OSError as error:
                self._give_up(error)


class DatabaseGauge(Metric):
    """A number that is read from the database, at most once in ``METRICS_INTERVAL_SECONDS`` (``config/metrics``).

    It is the same number on each machine: Prometheus must take the maximum over machines, never the sum.
    """

    kind = "gauge"
    is_counted = False


class _Timer:
    __slots__ = ("_began", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(self, *_error: object) -> None:
        self._histogram.observe(perf_counter() - self._began)


_UNTIMED: Final = nullcontext()


# --- what is counted once a transaction is committed ------------------------------------------------------------------

_tally: ContextVar["Tally | None"] = ContextVar("tally", default=None)


class Tally:
    """The counts of one attempt at a transaction.

    As a context, it collects what the block counts ``after_commit`` in this thread; ``count`` counts it, and without
    that call it is forgotten.
    """

    __slots__ = ("_counts", "_token")

    def __enter__(self) -> "Tally":
        self._counts: list[Callable[[], None]] = []
        self._token = _tally.set(self)
        return self

    def __exit__(self, *_error: object) -> None:
        _tally.reset(self._token)

    def add(self, count: Callable[[], None]) -> None:
        """Collect a count."""
        self._counts.append(count)

    def count(self) -> None:
        """Count what was collected: the transaction is committed."""
        for count in self._counts:
            count()


def after_commit(count: Callable[[], None]) -> None:
    """Call ``count`` once this transaction is committed; at once outside of transactions."""
    tally = _tally.get()
    if tally is not None:
        tally.add(count)
        return
    from django.db import transaction  # noqa: PLC0415 - logs count, too, before there are settings

    transaction.on_commit(count)


def all_metrics(module: Any) -> list[Metric]:
    """The metrics of a module, in the order in which it defines them."""
    return [value for value in vars(module).values() if isinstance(value, Metric)]
