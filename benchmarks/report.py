"""The report: the results as one page, with medians, minima and maxima of the contestants side by side."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import chart, load, pages, streams
from benchmarks.cases import ALONE, CASES, COMBINED, HALF, HISTORY, IMPORT, PLAIN, RAW, SWEEPS
from benchmarks.client import Load
from benchmarks.cluster import DURABILITY, WSGI_THREADS, Cluster
from benchmarks.figures import CROWD, connection_counts, cpu, cpu_us, figures, limit, rate, ratio, spread, table, times
from benchmarks.goals import goals_table
from benchmarks.large import WAREHOUSES
from benchmarks.peer import Peer
from benchmarks.runner import Options, Results
from benchmarks.subject import BASKET_LINES, BASKETS, SKUS

_UP_TO: Final = f"{CROWD} connections, fewer for adjust and low stock"
_METHOD: Final = """
**raw SQL** is pgbench on this service's own tables, one prepared round trip and one transaction a request: the best of
a single statement, a PL/pgSQL function that locks the level first, and one that locks it last. It does no HTTP, no
tokens, no validation, no choice of warehouse. *16 in one* puts sixteen requests in each transaction, on one connection.
**plain** is `benchmarks/plain`: Django's ORM, DRF's serializers and tokens, `select_for_update` in `atomic()`, the same
kinds of rows, no throttling. granian serves it by WSGI, in {workers} processes of {threads} threads. **one by one** and
**combined** are this service with `GROUP_COMMIT=false` and `true`, as in production: tokens, throttling, audit and
outbox on. granian serves it by ASGI, in one process, as `make demo` does. All of them have the same PostgreSQL (with
closed reservations, vacuumed and analysed) and share the machine with the load. HOT: everybody wants one SKU. SPREAD:
{skus:,} of them in turn. Each of {baskets:,} baskets has one product or {basket_lines}; a change of one makes each of
its lines one unit more or two less. *Sold out* counts refusals: nothing is left of the SKU that everybody wants. The
plain answers have the same fields, but for stores, customers and versions, which it doesn't have. *Half of the most*
sends requests at half the best rate measured, each at its own moment, and counts from that moment on. Figures are
medians (least–most) of the repeats, which take turns. After each run all answers were 2xx (409 for what is sold out),
each stands in the tables, and the books balance.

**CPU µs** is the time that processors worked for a request, of the web processes and of PostgreSQL with all their
threads and children (`/proc/<pid>/task/*/schedstat`); neither the load nor Redis, which counts requests for this
service's throttling, is in it. Other work on the machine lowers rates but changes this time little.

**Durable commit**: nobody gets an answer before the write-ahead log with its commit is flushed to the disk, in all
contestants and all sections alike; requests marked with a dash write nothing.
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
        "postgresql": cluster.setting("server_version"),
        "durability": {name: cluster.setting(name) for name in DURABILITY},
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


# --- the page --------------------------------------------------------------------------------------------------------


def _run(facts: Mapping[str, Any]) -> str:
    durability = ", ".join(f"{name} {value}" for name, value in facts["durability"].items())
    return (
        f"{facts['date']}, {facts['cores']} cores ({facts['machine']}) shared by database, service and load,"
        f" PostgreSQL {facts['postgresql']} ({durability}), Python {facts['python']}, load by {facts['load']},"
        f" {facts['repeats']} × {facts['seconds']} s each, {facts['took_seconds'] / 60:.0f} minutes in all:"
        f" `{facts['command']}`."
    )


def markdown(results: Results) -> str:
    """The whole page."""
    lines = ["# Benchmark", "", "![Requests a second, as bars](benchmark.svg)", ""]
    lines += ["![CPU microseconds a request, as bars](benchmark-cpu.svg)", ""]
    lines += [f"{_run(results.facts)} On other machines other figures: compare the ratios.", method()]
    for title, section in (
        ("Requests a second", _rates(results)),
        ("Latency in milliseconds", _latencies(results)),
        ("Expired reservations a second", _sweeps(results)),
        ("Imported lines a second", _imports(results)),
        ("Low stock", _low_stock(results)),
        ("A long history", _histories(results)),
        ("Events and webhooks", _streams(results)),
        ("The demonstration", _demo(results)),
        (pages.GOALS, goals_table(results)),
    ):
        if section:
            lines += [f"## {title}", "", *section]
    return "\n".join(lines)


def _rates(results: Results) -> list[str]:
    samples, rows = results.samples, []
    for case in CASES:
        for connections in connection_counts(samples, case.name):
            raw = limit(samples, case.name, connections)
            web = [figures(samples, case.name, name, connections) for name in (PLAIN, ALONE, COMBINED)]
            # Beyond 16 connections raw SQL gets no faster, so its rate with 16 remains the limit.
            base = raw or (limit(samples, case.name, CROWD) if connections > CROWD else [])
            ratios = [times(ratio(web[2], base)), times(ratio(web[2], web[0]))]
            title = f"{case.title}, {connections} connection{'s' if connections > 1 else ''}"
            plain, own = (cpu(samples, case.name, name, connections) for name in (PLAIN, COMBINED))
            work = [figures(samples, case.name, name, connections, figure=cpu_us) for name in (PLAIN, COMBINED)]
            costs = [plain, own, times(ratio(*work))]
            rows.append([title, *map(rate, [raw, *web]), *ratios, *costs, "–" if case.is_read else "yes"])
        batch = figures(samples, case.name, RAW, 1, way="batch")
        if batch:
            rows.append([f"{case.title}, 16 in one transaction", spread(batch), *["–"] * 8, "yes"])
    head = ["", "raw SQL", "plain", "one by one", "combined", "combined ÷ raw", "combined ÷ plain"]
    head += ["plain, CPU µs", "combined, CPU µs", "plain ÷ combined, CPU", "durable commit"]
    return table(head, rows)


def _latencies(results: Results) -> list[str]:
    halves = [(name, f"{next(c.title for c in CASES if c.name == of)}, half of the most") for name, of in HALF.items()]
    rows = []
    for name, title in [*((case.name, case.title) for case in CASES), *halves]:
        for connections in connection_counts(results.samples, name):
            cells = []
            for contestant in (PLAIN, COMBINED):
                for figure in (lambda f: f.p50_ms, lambda f: f.p95_ms, lambda f: f.p99_ms):
                    found = figures(results.samples, name, contestant, connections, figure=figure)
                    cells.append(f"{median(found):,.1f}" if found else "–")
            if set(cells) != {"–"}:
                rows.append([f"{title}, {connections}", *cells])
    head = [", connections", *(f"{who} {which}" for who in ("plain", "combined") for which in ("p50", "p95", "p99"))]
    return table(head, rows)


def _sweeps(results: Results) -> list[str]:
    rows = []
    for name, backlog in SWEEPS.items():
        plain, own = (figures(results.samples, name, who) for who in (PLAIN, COMBINED))
        if own:
            rows.append([f"backlog of {backlog:,}", spread(plain), spread(own), times(ratio(own, plain))])
    return table(["", "plain", "this", "this ÷ plain"], rows)


def _imports(results: Results) -> list[str]:
    plain, own = (figures(results.samples, IMPORT, who) for who in (PLAIN, COMBINED))
    if not own:
        return []
    many, few = (
        int(max(figures(results.samples, IMPORT, who, figure=_requests), default=0)) for who in (COMBINED, PLAIN)
    )
    seconds = spread(figures(results.samples, IMPORT, COMBINED, figure=lambda found: found.seconds), 1)
    row = [f"{many:,} lines (plain: {few:,})", spread(plain), spread(own), times(ratio(own, plain)), seconds]
    about = (
        f"`manage.py import_stock`, all or nothing, onto {SKUS:,} levels; plain: a line at a time in one transaction."
    )
    return [about, "", *table(["", "plain", "this", "this ÷ plain", "seconds, this"], [row])]


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
        for connections in connection_counts(results.samples, name):
            without, behind = (figures(results.samples, name, who, connections) for who in (COMBINED, HISTORY))
            share = ratio(behind, without)
            if share is not None:
                rows.append([f"{name}, {connections}", spread(without), spread(behind), f"{share:.0%}"])
    closed, history = results.facts["closed"], results.facts["history"]
    lines = table([", connections", f"{closed:,} closed", f"{closed + history:,} closed", "share"], rows)
    if lines:
        size, seconds = results.facts["history_bytes"] / 1e9, results.facts["history_seconds"]
        lines += [f"The history is {size:.1f} GB, made in {seconds / 60:.0f} minutes.", ""]
    return lines


def _streams(results: Results) -> list[str]:
    facts = results.facts.get("streams")
    if not facts:
        return []
    rows = [[title, spread(values)] for title, values in streams.figures(facts)]
    return [streams.ABOUT, "", *table(["", "measured"], rows)]


def _demo(results: Results) -> list[str]:
    merged = {name: value for found in results.demo for name, value in found.items()}
    return table(
        ["`make demo`", "measured"], [[name.replace("_", " "), f"{value:,.1f}"] for name, value in merged.items()]
    )


# --- the files -------------------------------------------------------------------------------------------------------


def bars(results: Results) -> list[chart.Group]:
    """The groups of the chart: each kind of request."""
    groups = []
    for case in CASES:
        connections = _compared(results, case.name)
        found = {
            "raw SQL": limit(results.samples, case.name, connections),
            "plain Django + DRF": figures(results.samples, case.name, PLAIN, connections),
            "this, one by one": figures(results.samples, case.name, ALONE, connections),
            "this, combined": figures(results.samples, case.name, COMBINED, connections),
        }
        values = {name: median(values) for name, values in found.items() if values}
        if values:
            groups.append(chart.Group(case.title, values))
    return groups


def cpu_bars(results: Results) -> list[chart.Group]:
    """The groups of the chart of CPU time: each kind of request, with the connections of its rate."""
    found = []
    for case in CASES:
        connections = _compared(results, case.name)
        who = {"plain Django + DRF": PLAIN, "this, one by one": ALONE, "this, combined": COMBINED}
        values = {
            name: figures(results.samples, case.name, contestant, connections, figure=cpu_us)
            for name, contestant in who.items()
        }
        found.append(chart.Group(case.title, {name: median(each) for name, each in values.items() if any(each)}))
    return [group for group in found if group.values]


def _compared(results: Results, case: str) -> int:
    """The number of connections with which a case is shown in the charts: 16, or the most of fewer."""
    counts = [count for count in connection_counts(results.samples, case) if count <= CROWD]
    return max(counts, default=CROWD)


def write(results: Results, folder: Path) -> None:
    """Write the page and its charts. A run without requests, as of streams alone, renews its sections of the page.
    Another one keeps the sections that it didn't measure, such as that of a long history."""
    page, text = folder / "benchmark.md", markdown(results)
    if results.samples or not page.exists():
        if page.exists():
            text = pages.kept(page.read_text(), text)
        (folder / "benchmark.svg").write_text(chart.svg(f"Requests a second, {_UP_TO}", bars(results)))
        (folder / "benchmark-cpu.svg").write_text(chart.svg(f"CPU microseconds a request, {_UP_TO}", cpu_bars(results)))
    else:
        text = pages.renewed(page.read_text(), text, _run(results.facts))
    page.write_text(text)
    if facts := results.facts.get("streams"):
        for name, drawn in streams.charts(facts).items():
            (folder / name).write_text(drawn)
