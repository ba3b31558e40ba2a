"""The goals: each with its measured figure, and whether it is reached."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from benchmarks import streams
from benchmarks.cases import COMBINED, HALF, HISTORY, IMPORT, PLAIN, SWEEPS, Sample
from benchmarks.client import Load
from benchmarks.figures import CROWD, connection_counts, cpu_us, figures, limit, ratio, table
from benchmarks.runner import IMPORT_LINES, Results


def goals(results: Results) -> list[tuple[str, float | None, bool]]:
    """Each goal, its measured figure (None if it wasn't measured), and whether it is reached."""
    samples = results.samples
    hot, plain_hot = (figures(samples, "reserve-hot", who, CROWD) for who in (COMBINED, PLAIN))
    found: list[tuple[str, float | None, Callable[[float], bool]]] = [
        ("HOT ÷ raw SQL, 16 connections: ≥ 2", ratio(hot, limit(samples, "reserve-hot", CROWD)), lambda v: v >= 2),
        ("HOT ÷ plain, 16 connections: ≥ 10", ratio(hot, plain_hot), lambda v: v >= 10),
        ("SPREAD ÷ plain, 16 connections: ≥ 6", _over_plain(samples, "reserve-spread"), lambda v: v >= 6),
        *(
            (f"{n} ÷ plain: ≥ {least}", _over_plain(samples, n, at), lambda v, least=least: v >= least)
            for n, least, at in _OVER_PLAIN
        ),
        ("sold out, refusals/s, the best: ≥ 8,000", _best_refusals(samples), lambda v: v >= 8_000),
        *((f"{n}, CPU µs: ≤ 150", _cpu(samples, n), lambda v: v <= 150) for n in _READS),
        *((f"{n} ÷ reserve, SPREAD, CPU: ≤ 1.5", _over_reserve(samples, n), lambda v: v <= 1.5) for n in _CHANGES),
        *((f"{n}, p99 in ms: < 20", _latency(samples, n, 99, None), lambda v: v < 20) for n in HALF),
        ("one at a time, p95 in ms: < 10", _latency(samples, "reserve-hot", 95, 1), lambda v: v < 10),
        *((f"{n}, expired/s: ≥ 30,000", _middle(figures(samples, n, COMBINED)), lambda v: v >= 30_000) for n in SWEEPS),
        ("import of 100,000 lines in s: < 30, well under a minute", _import_seconds(samples), lambda v: v < 30),
        ("check of 200 lines ÷ of 1, p50 one at a time: < 3", _check_ratio(samples), lambda v: v < 3),
        *streams.goals(results.facts),
        ("with history ÷ without, the least: ≥ 0.9", _least_with_history(samples), lambda v: v >= 0.9),
        *((f"make demo, {name}: < {most}", _of_demo(results, key), _below(most)) for name, key, most in _DEMO_GOALS),
    ]
    return [(goal, value, value is not None and is_reached(value)) for goal, value, is_reached in found]


_OVER_PLAIN: Final = (
    *((name, 5, CROWD) for name in ("consume-hot", "consume-spread", "release-hot", "release-spread")),
    ("extend", 8, CROWD),
    ("check-1", 5, CROWD),
    ("product", 15, CROWD),
    ("product-spread", 15, CROWD),
    ("basket-1", 6, CROWD),
    ("basket", 6, CROWD),
    ("adjust-200", 5, 4),
)
"""The name, the least ratio and the number of connections of each case that is compared with plain Django."""
_READS: Final = ("check-1", "product", "product-spread", "cart", "reservation")
_CHANGES: Final = ("basket-1", "extend")
_DEMO_GOALS: Final = (
    ("PSS in MB", "pss_megabytes", 450),
    ("RSS in MB", "rss_megabytes", 450),
    ("first start in s", "fresh_start_seconds", 5),
    ("start in s", "start_seconds", 5),
)


def _below(most: float) -> Callable[[float], bool]:
    return lambda value: value < most


def _over_plain(samples: Sequence[Sample], case: str, connections: int = CROWD) -> float | None:
    return ratio(figures(samples, case, COMBINED, connections), figures(samples, case, PLAIN, connections))


def _cpu(samples: Sequence[Sample], case: str) -> float | None:
    return _middle(figures(samples, case, COMBINED, CROWD, figure=cpu_us))


def _over_reserve(samples: Sequence[Sample], case: str) -> float | None:
    ours, reserve = (_cpu(samples, name) for name in (case, "reserve-spread"))
    return ours / reserve if ours and reserve else None


def _best_refusals(samples: Sequence[Sample]) -> float | None:
    rates = [figures(samples, "sold-out", COMBINED, n) for n in connection_counts(samples, "sold-out")]
    return max((median(found) for found in rates if found), default=None)


def _middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _latency(samples: Sequence[Sample], case: str, percent: int, connections: int | None) -> float | None:
    def latency(found: Load) -> float:
        return found.p99_ms if percent == 99 else found.p95_ms

    return _middle(figures(samples, case, COMBINED, connections, figure=latency))


def _import_seconds(samples: Sequence[Sample]) -> float | None:
    """The seconds of an import of a whole file; imports of a quick run, which are smaller, don't count."""
    whole = [s for s in samples if s.load.requests == IMPORT_LINES[COMBINED]]
    return _middle(figures(whole, IMPORT, COMBINED, figure=lambda found: found.seconds))


def _check_ratio(samples: Sequence[Sample]) -> float | None:
    one, many = (
        figures(samples, case, COMBINED, 1, figure=lambda found: found.p50_ms) for case in ("check-1", "check-200")
    )
    return ratio(many, one)


def _least_with_history(samples: Sequence[Sample]) -> float | None:
    shares = [
        ratio(figures(samples, case, HISTORY, connections), figures(samples, case, COMBINED, connections))
        for case in {sample.case for sample in samples}
        for connections in connection_counts(samples, case)
    ]
    return min((share for share in shares if share is not None), default=None)


def _of_demo(results: Results, key: str) -> float | None:
    return next((found[key] for found in results.demo if key in found), None)


def goals_table(results: Results) -> list[str]:
    rows = [
        [goal, f"{value:,.2f}" if value < 100 else f"{value:,.0f}", "yes" if is_reached else "**no**"]
        for goal, value, is_reached in goals(results)
        if value is not None
    ]
    return table(["goal", "measured", "reached"], rows)
