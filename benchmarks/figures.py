"""Figures of samples: medians with their range, ratios, and rows of tables."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from benchmarks.cases import RAW, Sample
from benchmarks.client import Load

CROWD: Final = 16
"""The number of connections with which the cases are compared."""


def figures(
    samples: Iterable[Sample],
    case: str,
    contestant: str,
    connections: int | None = None,
    *,
    way: str = "",
    figure: Callable[[Load], float] = lambda found: found.per_second,
) -> list[float]:
    """A figure of all repeats of a run. Without ``connections``, runs with any number of connections count."""
    return [
        figure(sample.load)
        for sample in samples
        if (sample.case, sample.contestant, sample.way) == (case, contestant, way)
        and connections in (None, sample.connections)
    ]


def limit(samples: Sequence[Sample], case: str, connections: int) -> list[float]:
    """The rates of the fastest way in raw SQL with one transaction per request."""
    ways = {s.way for s in samples if (s.case, s.contestant, s.connections) == (case, RAW, connections)} - {"batch"}
    found = [figures(samples, case, RAW, connections, way=way) for way in sorted(ways)]
    return max(found, key=median, default=[])


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, with the minimum and maximum if there are several values."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def cpu_us(found: Load) -> float:
    """The CPU time of a request, of web and PostgreSQL together, in microseconds."""
    return (found.web_cpu_us or 0) + (found.postgresql_cpu_us or 0)


def cpu(samples: Iterable[Sample], case: str, contestant: str, connections: int) -> str:
    """The medians of the CPU time of a request in microseconds, ``web + PostgreSQL``; a dash if it wasn't measured."""
    ours = [s.load for s in samples if (s.case, s.contestant, s.connections) == (case, contestant, connections)]
    web = [found.web_cpu_us for found in ours if found.web_cpu_us is not None]
    postgresql = [found.postgresql_cpu_us for found in ours if found.postgresql_cpu_us is not None]
    return f"{median(web):,.0f} + {median(postgresql):,.0f}" if web and postgresql else "–"


def connection_counts(samples: Iterable[Sample], case: str) -> list[int]:
    """The numbers of connections with which a case was measured."""
    return sorted({sample.connections for sample in samples if sample.case == case and sample.way != "batch"})


def rate(values: Sequence[float]) -> str:
    """Rates, with a digit after the point if they are small."""
    return spread(values, 1 if values and max(values) < 10 else 0)


def ratio(values: Sequence[float], base: Sequence[float]) -> float | None:
    """The ratio of the two medians; None if one is missing."""
    return median(values) / median(base) if values and base and median(base) else None


def times(value: float | None) -> str:
    """A ratio as text."""
    return "–" if value is None else f"{value:.1f} ×"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; none without rows."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""] if rows else []
