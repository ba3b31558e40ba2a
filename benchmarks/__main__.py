"""`python -m benchmarks`: measure, print the table, and with ``--write`` rewrite docs/explanation/benchmark.md."""

import argparse
import dataclasses
import json
import signal
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.cases import NAMES, chosen
from benchmarks.cluster import REPOSITORY, BenchmarkFailed, Cluster
from benchmarks.large import LEVELS, QUICK_LEVELS, WAREHOUSES
from benchmarks.runner import Options, Runner
from benchmarks.subject import CLOSED, HISTORY_ROWS


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short repeat of less, under two minutes")
    parser.add_argument(
        "--history",
        type=int,
        nargs="?",
        const=HISTORY_ROWS,
        default=0,
        metavar="ROWS",
        help="also with that many closed reservations behind it (10,000,000: some 13 GB)",
    )
    parser.add_argument("--only", default="", metavar="NAME,…", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--repeats", type=int, help="of everything, taking turns (3; quick: 1)")
    parser.add_argument("--seconds", type=int, help="of load each (8; quick: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every single result")
    parser.add_argument("--closed", type=int, default=CLOSED, help="closed reservations from the start (100,000)")
    parser.add_argument("--levels", type=int, help=f"stock levels for low-stock ({LEVELS:,}; quick: {QUICK_LEVELS:,})")
    parser.add_argument("--write", action="store_true", help="renew docs/explanation/benchmark.md and its charts")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "var" / "bench", help="where the servers live")
    given = parser.parse_args(arguments)
    try:
        given.names = chosen([name for name in given.only.split(",") if name])
    except ValueError as error:
        parser.error(str(error))
    given.repeats = given.repeats or (1 if given.quick else 3)
    given.seconds = given.seconds or (1 if given.quick else 8)
    given.levels = given.levels or (QUICK_LEVELS if given.quick else LEVELS)
    if not (1 <= given.repeats <= 20 and 1 <= given.seconds <= 60):
        parser.error("--repeats takes 1 to 20, --seconds 1 to 60")
    if not (1 <= given.closed <= 1_000_000 and 0 <= given.history <= 10_000_000):
        parser.error("--closed takes 1 to 1,000,000, --history up to 10,000,000")
    if not WAREHOUSES <= given.levels <= LEVELS or given.levels % WAREHOUSES:
        parser.error(f"--levels takes {WAREHOUSES} to {LEVELS:,}, a multiple of {WAREHOUSES}")
    return given


def main(arguments: list[str]) -> int:
    """Measure and report. Returns 1 if a run cannot be trusted."""
    given = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = Options(
        names=given.names,
        repeats=given.repeats,
        seconds=given.seconds,
        is_quick=given.quick,
        closed=given.closed,
        history=given.history,
        levels=given.levels,
        data_dir=given.data_dir.resolve(),
    )
    try:
        cluster = Cluster.start(options.data_dir)
        results = Runner(options, cluster).run()
    except BenchmarkFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    results.facts |= report.machine(cluster, options, arguments)
    if given.json:
        given.json.write_text(json.dumps(dataclasses.asdict(results), indent=1) + "\n")
    sys.stdout.write(report.markdown(results))
    if given.write:
        report.write(results, REPOSITORY / "docs" / "explanation")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
