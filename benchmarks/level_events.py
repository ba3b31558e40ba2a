"""`python -m benchmarks.level_events`: the processor time of a hold with level events and without, taking turns.

Counts the time of the web process and of PostgreSQL, which says the same on a machine with other work to do: the rates
of two runs don't.
"""

import argparse
import contextlib
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import client, load
from benchmarks.client import Load
from benchmarks.cluster import REPOSITORY, BenchmarkFailed, Cluster, processes, served
from benchmarks.service import Service

WAYS: Final = ("off", "on")
KINDS: Final = {"HOT": True, "SPREAD": False}
WARM_UP_SECONDS: Final = 1.0
_BODIES: Final = 20_000


@dataclass
class Cost:
    """The costs of one kind of request: microseconds of web and of PostgreSQL for each, and requests a second."""

    web: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)

    @property
    def total(self) -> list[float]:
        """Web and PostgreSQL together, of each run."""
        return [web + postgres for web, postgres in zip(self.web, self.postgres, strict=True)]


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def spent_seconds(pid: int) -> float:
    """The processor time of a process and all below it, by the scheduler's clock of nanoseconds."""
    spent = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def listener_of(port: int) -> int:
    """The process that this one started to serve a port."""
    for pid in tree(os.getpid()):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if str(port).encode() in words:
                return pid
    raise BenchmarkFailed(f"Nothing of this process serves port {port}.")


def run(service: Service, port: int, *, hot: bool, seconds: float, connections: int) -> tuple[Load, float, float]:
    """Load one server with reserves. Returns the load, and the seconds that web and PostgreSQL spent on it."""
    bodies = service.bodies("reserve", _BODIES, hot=hot, lines=1)
    target = service.target("reserve", port)
    web, postgres = listener_of(port), processes(service.cluster.data_dir)[1]
    try:
        client.run(target, bodies[:2000], connections=connections, seconds=WARM_UP_SECONDS)
        before = spent_seconds(web), spent_seconds(postgres)
        found = load.apply(target, bodies[2000:], connections=connections, seconds=seconds)
        after = spent_seconds(web), spent_seconds(postgres)
        if found.failures:
            raise BenchmarkFailed(f"{found.failures} of {found.requests} requests failed")
        service.check_books()
    finally:
        service.restore()
    return found, after[0] - before[0], after[1] - before[1]


def measure(given: argparse.Namespace) -> dict[tuple[str, str], Cost]:
    """Measure each kind with level events and without, in turns."""
    cluster = Cluster.start(given.data_dir.resolve())
    service = Service(cluster, "bench_level_events")
    costs = {(kind, way): Cost() for kind in KINDS for way in WAYS}
    with contextlib.ExitStack() as servers:
        servers.callback(cluster.drop, service.database)
        service.seed(given.closed)
        service.restore()  # The client's own audit entries.
        ports = {
            way: servers.enter_context(
                served(
                    service.application,
                    service.environment(GROUP_COMMIT="true", LEVEL_EVENTS="true" if way == "on" else "false"),
                    cluster.data_dir / f"level_events_{way}.log",
                )
            )
            for way in WAYS
        }
        for turn in range(given.repeats):
            for kind, hot in KINDS.items():
                for way in WAYS if turn % 2 else WAYS[::-1]:
                    found, web, postgres = run(
                        service, ports[way], hot=hot, seconds=given.seconds, connections=given.connections
                    )
                    cost = costs[kind, way]
                    cost.web.append(web / found.requests * 1e6)
                    cost.postgres.append(postgres / found.requests * 1e6)
                    cost.per_second.append(found.per_second)
                    sys.stderr.write(
                        f"{kind} {way}: {cost.web[-1]:.0f} + {cost.postgres[-1]:.0f} µs, {found.per_second:,.0f}/s\n"
                    )
    return costs


def main(arguments: list[str]) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.level_events", description=__doc__)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--closed", type=int, default=10_000)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "var" / "bench")
    costs = measure(parser.parse_args(arguments))
    head = "| | off: web + PostgreSQL, µs | on | ratio of medians | ratios of the turns |"
    sys.stdout.write(f"{head}\n{'| --- ' * 5}|\n")
    for kind in KINDS:
        off, on = (costs[kind, way] for way in WAYS)
        cells = (f"{statistics.median(c.web):.0f} + {statistics.median(c.postgres):.0f}" for c in (off, on))
        ratio = statistics.median(on.total) / statistics.median(off.total)
        ratios = ", ".join(f"{b / a:.2f}" for a, b in zip(off.total, on.total, strict=True))
        sys.stdout.write(f"| {kind} | {' | '.join(cells)} | {ratio:.3f} | {ratios} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
