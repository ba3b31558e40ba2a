"""The report: the results as one page, with medians, minima and maxima of the contestants side by side."""

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import chart, load, pages, streams
from benchmarks.cases import ALONE, CASES, COMBINED, HALF, HISTORY, IMPORT, PLAIN, RAW, SWEEPS, Sample
from benchmarks.client import Load
from benchmarks.cluster import WSGI_THREADS, Cluster
from benchmarks.large import WAREHOUSES
from benchmarks.peer import Peer
from benchmarks.runner import IMPORT_LINES, Options, Results
from benchmarks.subject import BASKET_LINES, BASKETS, SKUS

_CROWD: Final = 16
_METHOD: Final = """
**raw SQL** is pgbench on this service's own tables, one prepared round trip and one transaction a request: the best of
a single statement, a PL/pgSQL function that locks the level first, and one that locks it last. It does no HTTP, no
tokens, no validation, no choice of warehouse. *16 in one* puts sixteen requests in each transaction, on one connection.
**plain** is `benchmarks/plain`: Django's ORM, DRF's serializers and tokens, `select_for_update` in `atomic()`, the same
kinds of rows, no throttling. granian serves it by WSGI, in {workers} processes of {threads} threads. **one by one** and
**combined** are this service with `GROUP_COMMIT=false` and `true`, as in production: tokens, throttling, audit and
outbox on. granian serves it by ASGI, in one process, as `make demo` does. All of them have the same PostgreSQL (fsync
on, with closed reservations, vacuumed and analysed) and share the machine with the load. HOT: everybody wants one SKU.
SPREAD: {skus:,} of them in turn. Each of {baskets:,} baskets has {basket_lines} products; a change of one makes each of
its lines one unit more or two less. *Half of the most* sends requests at half the best rate measured, each at its own
moment, and counts from that moment on. Figures are medians (least–most) of the repeats, which take turns. After each
run all answers were 2xx, each stands in the tables, and the books balance.
"""


def method() -> str:
    """The description of how the figures are measured."""
    return _METHOD.format(
        workers=Peer.wsgi_workers,
        threads=WSGI_THREADS,
        skus=SKUS,
        baskets=BASKETS,
        basket_lines=BASKET_LINES,
    )


def machine(cluster: Cluster, options: Options, arguments: list[str]) -> dict[str, Any]:
    """The facts that the figures depend on: machine, versions, settings."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "postgresql": cluster.version(),
        "load": load.generator(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command_line(arguments),
        "closed": options.closed,
        "history": options.history,
        "repeats": options.repeats,
        "seconds": options.seconds,
    }


_PLACES: Final = ("--data-dir", "--json")


def command_line(arguments: Sequence[str]) -> str:
    """The command line without paths of this machine, which don't affect the figures."""
    words = ["python -m benchmarks"]
    is_place = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if not is_place and name not in _PLACES:
            words.append(argument)
        is_place = not is_place and name in _PLACES and not equals
    return " ".join(words)


# --- figures ---------------------------------------------------------------------------------------------------------


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


def _rate(values: Sequence[float]) -> str:
    return spread(values, 1 if values and max(values) < 10 else 0)


def ratio(values: Sequence[float], base: Sequence[float]) -> float | None:
    """The ratio of the two medians; None if one is missing."""
    return median(values) / median(base) if values and base and median(base) else None


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ×"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""] if rows else []


# --- the page --------------------------------------------------------------------------------------------------------


def _run(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['date']}, {facts['cores']} cores ({facts['machine']}) shared by database, service and load,"
        f" PostgreSQL {facts['postgresql']}, Python {facts['python']}, load by {facts['load']},"
        f" {facts['repeats']} × {facts['seconds']} s each, {facts['took_seconds'] / 60:.0f} minutes in all:"
        f" `{facts['command']}`."
    )


def markdown(results: Results) -> str:
    """The whole page."""
    lines = ["# Benchmark", "", "![Requests a second, as bars](benchmark.svg)", ""]
    lines += [f"{_run(results.facts)} On other machines other figures: compare the ratios.", method()]
    for title, table in (
        ("Requests a second", _rates(results)),
        ("Latency in milliseconds", _latencies(results)),
        ("Expired reservations a second", _sweeps(results)),
        ("Imported lines a second", _imports(results)),
        ("Low stock", _low_stock(results)),
        ("A long history", _histories(results)),
        ("Events and webhooks", _streams(results)),
        ("The demonstration", _demo(results)),
        (pages.GOALS, _goals(results)),
    ):
        if table:
            lines += [f"## {title}", "", *table]
    return "\n".join(lines)


def _counts(samples: Iterable[Sample], case: str) -> list[int]:
    return sorted({sample.connections for sample in samples if sample.case == case and sample.way != "batch"})


def _rates(results: Results) -> list[str]:
    samples, rows = results.samples, []
    for case in CASES:
        for connections in _counts(samples, case.name):
            raw = limit(samples, case.name, connections)
            web = [figures(samples, case.name, name, connections) for name in (PLAIN, ALONE, COMBINED)]
            # Beyond 16 connections raw SQL gets no faster, so its rate with 16 remains the limit.
            base = raw or (limit(samples, case.name, _CROWD) if connections > _CROWD else [])
            ratios = [_times(ratio(web[2], base)), _times(ratio(web[2], web[0]))]
            title = f"{case.title}, {connections} connection{'s' if connections > 1 else ''}"
            rows.append([title, *map(_rate, [raw, *web]), *ratios])
        batch = figures(samples, case.name, RAW, 1, way="batch")
        if batch:
            rows.append([f"{case.title}, 16 in one transaction", spread(batch), "–", "–", "–", "–", "–"])
    head = ["", "raw SQL", "plain", "one by one", "combined", "combined ÷ raw", "combined ÷ plain"]
    return _table(head, rows)


def _latencies(results: Results) -> list[str]:
    halves = [(name, f"{next(c.title for c in CASES if c.name == of)}, half of the most") for name, of in HALF.items()]
    rows = []
    for name, title in [*((case.name, case.title) for case in CASES), *halves]:
        for connections in _counts(results.samples, name):
            cells = []
            for contestant in (PLAIN, COMBINED):
                for figure in (lambda f: f.p50_ms, lambda f: f.p95_ms, lambda f: f.p99_ms):
                    found = figures(results.samples, name, contestant, connections, figure=figure)
                    cells.append(f"{median(found):,.1f}" if found else "–")
            if set(cells) != {"–"}:
                rows.append([f"{title}, {connections}", *cells])
    head = [", connections", *(f"{who} {which}" for who in ("plain", "combined") for which in ("p50", "p95", "p99"))]
    return _table(head, rows)


def _sweeps(results: Results) -> list[str]:
    rows = []
    for name, backlog in SWEEPS.items():
        plain, own = (figures(results.samples, name, who) for who in (PLAIN, COMBINED))
        if own:
            rows.append([f"backlog of {backlog:,}", spread(plain), spread(own), _times(ratio(own, plain))])
    return _table(["", "plain", "this", "this ÷ plain"], rows)


def _imports(results: Results) -> list[str]:
    plain, own = (figures(results.samples, IMPORT, who) for who in (PLAIN, COMBINED))
    if not own:
        return []
    many, few = (
        int(max(figures(results.samples, IMPORT, who, figure=_requests), default=0)) for who in (COMBINED, PLAIN)
    )
    seconds = spread(figures(results.samples, IMPORT, COMBINED, figure=lambda found: found.seconds), 1)
    row = [f"{many:,} lines (plain: {few:,})", spread(plain), spread(own), _times(ratio(own, plain)), seconds]
    about = (
        f"`manage.py import_stock`, all or nothing, onto {SKUS:,} levels; plain: a line at a time in one transaction."
    )
    return [about, "", *_table(["", "plain", "this", "this ÷ plain", "seconds, this"], [row])]


def _requests(found: Load) -> float:
    return found.requests


def _low_stock(results: Results) -> list[str]:
    facts = results.facts.get("low_stock")
    if not facts:
        return []
    about = (
        f"{facts['levels']:,} stock levels in {WAREHOUSES} warehouses, a third of them watched, {facts['low']:,}"
        " of them low: a page of 50 with the totals. The upper nodes of the plans of the two slowest statements, by"
        " EXPLAIN ANALYZE:"
    )
    lines = [about, ""]
    for contestant, name in ((COMBINED, "this service"), (PLAIN, "plain")):
        plans = "\n\n".join("\n".join(plan) for plan in facts["plans"][contestant])
        lines += [f"**{name}**", "", "```", plans, "```", ""]
    return lines


def _histories(results: Results) -> list[str]:
    rows = []
    for name in [*(case.name for case in CASES), *SWEEPS]:
        for connections in _counts(results.samples, name):
            without, behind = (figures(results.samples, name, who, connections) for who in (COMBINED, HISTORY))
            share = ratio(behind, without)
            if share is not None:
                rows.append([f"{name}, {connections}", spread(without), spread(behind), f"{share:.0%}"])
    closed, history = results.facts["closed"], results.facts["history"]
    lines = _table([", connections", f"{closed:,} closed", f"{closed + history:,} closed", "share"], rows)
    if lines:
        size, seconds = results.facts["history_bytes"] / 1e9, results.facts["history_seconds"]
        lines += [f"The history is {size:.1f} GB, made in {seconds / 60:.0f} minutes.", ""]
    return lines


def _streams(results: Results) -> list[str]:
    facts = results.facts.get("streams")
    if not facts:
        return []
    rows = [[title, spread(values)] for title, values in streams.figures(facts)]
    return [streams.ABOUT, "", *_table(["", "measured"], rows)]


def _demo(results: Results) -> list[str]:
    merged = {name: value for found in results.demo for name, value in found.items()}
    return _table(
        ["`make demo`", "measured"], [[name.replace("_", " "), f"{value:,.1f}"] for name, value in merged.items()]
    )


# --- the goals -------------------------------------------------------------------------------------------------------


def goals(results: Results) -> list[tuple[str, float | None, bool]]:
    """Each goal, its measured figure (None if it wasn't measured), and whether it is reached."""
    samples = results.samples
    hot, plain_hot = (figures(samples, "reserve-hot", who, _CROWD) for who in (COMBINED, PLAIN))
    found: list[tuple[str, float | None, Callable[[float], bool]]] = [
        ("HOT ÷ raw SQL, 16 connections: ≥ 2", ratio(hot, limit(samples, "reserve-hot", _CROWD)), lambda v: v >= 2),
        ("HOT ÷ plain, 16 connections: ≥ 10", ratio(hot, plain_hot), lambda v: v >= 10),
        ("SPREAD ÷ plain, 16 connections: ≥ 6", _over_plain(samples, "reserve-spread"), lambda v: v >= 6),
        *((f"{n} ÷ plain: ≥ 5", _over_plain(samples, n), lambda v: v >= 5) for n in _RESOLVING),
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


_RESOLVING: Final = ("consume-hot", "consume-spread", "release-hot", "release-spread")
_DEMO_GOALS: Final = (
    ("PSS in MB", "pss_megabytes", 450),
    ("RSS in MB", "rss_megabytes", 450),
    ("first start in s", "fresh_start_seconds", 5),
    ("start in s", "start_seconds", 5),
)


def _below(most: float) -> Callable[[float], bool]:
    return lambda value: value < most


def _over_plain(samples: Sequence[Sample], case: str) -> float | None:
    return ratio(figures(samples, case, COMBINED, _CROWD), figures(samples, case, PLAIN, _CROWD))


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
        for connections in _counts(samples, case)
    ]
    return min((share for share in shares if share is not None), default=None)


def _of_demo(results: Results, key: str) -> float | None:
    return next((found[key] for found in results.demo if key in found), None)


def _goals(results: Results) -> list[str]:
    rows = [
        [goal, f"{value:,.2f}" if value < 100 else f"{value:,.0f}", "yes" if is_reached else "**no**"]
        for goal, value, is_reached in goals(results)
        if value is not None
    ]
    return _table(["goal", "measured", "reached"], rows)


# --- the files -------------------------------------------------------------------------------------------------------


def bars(results: Results) -> list[chart.Group]:
    """The groups of the chart: each kind of request with 16 connections."""
    groups = []
    for case in CASES:
        found = {
            "raw SQL": limit(results.samples, case.name, _CROWD),
            "plain Django + DRF": figures(results.samples, case.name, PLAIN, _CROWD),
            "this, one by one": figures(results.samples, case.name, ALONE, _CROWD),
            "this, combined": figures(results.samples, case.name, COMBINED, _CROWD),
        }
        values = {name: median(values) for name, values in found.items() if values}
        if values:
            groups.append(chart.Group(case.title, values))
    return groups


def write(results: Results, folder: Path) -> None:
    """Write the page and its charts. A run without requests, as of streams alone, renews its sections of the page."""
    page, text = folder / "benchmark.md", markdown(results)
    if results.samples or not page.exists():
        (folder / "benchmark.svg").write_text(chart.svg("Requests a second, 16 connections", bars(results)))
    else:
        text = pages.renewed(page.read_text(), text, _run(results.facts))
    page.write_text(text)
    if facts := results.facts.get("streams"):
        for name, drawn in streams.charts(facts).items():
            (folder / name).write_text(drawn)
