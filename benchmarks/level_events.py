"""`python -m benchmarks.level_events`: the processor time of a hold with level events and without, taking turns.

Measures the processor time of the web process and of PostgreSQL, which, unlike rates, can be compared on a machine that
is busy with other work.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.client import Load
from benchmarks.cluster import REPOSITORY, BenchmarkFailed, Cluster, processes, served
from benchmarks.cpu import listener_of, spent_seconds
from benchmarks.service import Service

WAYS: Final = {"off": "false", "on": "true"}
KINDS: Final = {"HOT": True, "SPREAD": False}
_SETTLE_SECONDS: Final = 0.2
_BODIES: Final = 20_000


@dataclass
class Cost:
    """The costs of one kind of request: microseconds of web and of PostgreSQL for each, and requests a second."""

    web: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)

    def add(self, found: Load, web: float, postgres: float) -> None:
        """Add a turn, in which web and PostgreSQL spent these seconds."""
        self.web.append(web / found.requests * 1e6)
        self.postgres.append(postgres / found.requests * 1e6)
        self.per_second.append(found.per_second)

    @property
    def total(self) -> list[float]:
        """Web and PostgreSQL together, of each run."""
        return [web + postgres for web, postgres in zip(self.web, self.postgres, strict=True)]


class Turns:
    """The two servers of one database, loaded in turns."""

    def __init__(self, service: Service, ports: Mapping[str, int]) -> None:
        self._service = service
        self._targets = {way: service.target("reserve", port) for way, port in ports.items()}
        self._web = {way: listener_of(port) for way, port in ports.items()}
        self._postgres = processes(service.cluster.data_dir)[1]

    def measure(self, *, hot: bool, given: argparse.Namespace) -> dict[str, Cost]:
        """The costs by way. All turns use the same tables, which grow meanwhile."""
        costs = {way: Cost() for way in WAYS}
        bodies = self._service.bodies("reserve", _BODIES, hot=hot, lines=1)
        try:
            for turn in range(-1, given.repeats):  # The first turn warms up.
                for way in WAYS if turn % 2 else reversed(WAYS):
                    found, web, postgres = self._turn(way, bodies, given)
                    if turn >= 0:
                        costs[way].add(found, web, postgres)
            self._service.check_books()
        finally:
            self._service.restore()
        return costs

    def _turn(self, way: str, bodies: Sequence[str], given: argparse.Namespace) -> tuple[Load, float, float]:
        before = spent_seconds(self._web[way]), spent_seconds(self._postgres)
        found = load.apply(self._targets[way], bodies, connections=given.connections, seconds=given.seconds)
        time.sleep(_SETTLE_SECONDS)  # The requests that were unanswered when the load ended.
        after = spent_seconds(self._web[way]), spent_seconds(self._postgres)
        if found.failures:
            raise BenchmarkFailed(f"{found.failures} of {found.requests} requests failed")
        return found, after[0] - before[0], after[1] - before[1]


def measure(given: argparse.Namespace) -> dict[str, dict[str, Cost]]:
    """Measure each kind with level events and without, in turns."""
    cluster = Cluster.start(given.data_dir.resolve())
    service = Service(cluster, "bench_level_events")
    with contextlib.ExitStack() as servers:
        servers.callback(cluster.drop, service.database)
        service.seed(given.closed)
        service.restore()  # The client's own audit entries.
        ports = {}
        for way, is_on in WAYS.items():
            environment = service.environment(GROUP_COMMIT="true", LEVEL_EVENTS=is_on)
            log = cluster.data_dir / f"level_events_{way}.log"
            ports[way] = servers.enter_context(served(service.application, environment, log))
        turns = Turns(service, ports)
        return {kind: turns.measure(hot=hot, given=given) for kind, hot in KINDS.items()}


def main(arguments: list[str]) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.level_events", description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--closed", type=int, default=10_000)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "var" / "bench")
    costs = measure(parser.parse_args(arguments))
    head = "| | off: web + PostgreSQL, µs | on: web + PostgreSQL, µs | on by off, median of the turns (quartiles) |"
    sys.stdout.write(f"{head}\n{'| --- ' * 4}|\n")
    for kind, by_way in costs.items():
        off, on = by_way["off"], by_way["on"]
        cells = (f"{statistics.median(c.web):.0f} + {statistics.median(c.postgres):.0f}" for c in (off, on))
        low, ratio, high = statistics.quantiles([b / a for a, b in zip(off.total, on.total, strict=True)], n=4)
        sys.stdout.write(f"| {kind} | {' | '.join(cells)} | {ratio:.3f} ({low:.3f} to {high:.3f}) |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
