"""Performs the runs: prepare, warm up, load, check that every answered request was executed, restore the database."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import client, demo, load, raw, streams
from benchmarks.cases import (
    ALONE,
    CASES,
    COMBINED,
    DEMO,
    HALF,
    HISTORY,
    IMPORT,
    NAMES,
    PLAIN,
    RAW,
    STREAMS,
    SWEEPS,
    Case,
    Sample,
    Step,
    steps_of,
)
from benchmarks.client import Load
from benchmarks.cluster import BenchmarkFailed, Cluster, call, served
from benchmarks.importing import write_csv
from benchmarks.large import LargePeer, LargeService, low_levels
from benchmarks.peer import Peer
from benchmarks.service import Service
from benchmarks.subject import Subject

HISTORY_BYTES_EACH: Final = 2_000
SPARE_BYTES: Final = 8_000_000_000
HISTORY_CHUNK: Final = 500_000
FIRST_SECONDS: Final = 1.0
FIRST_CONNECTIONS: Final = 32
WARM_UP_SECONDS: Final = 0.4
HALF_CONNECTIONS: Final = 64
REUSED_BODIES: Final = 20_000
HOLDS_PER_SECOND: Final = {PLAIN: 2_000}
HOLDS_PER_SECOND_OF_THE_SERVICE: Final = 5_000
LARGE_CONNECTIONS: Final = 4
# The plain peer imports line by line and would take minutes for a whole file.
IMPORT_LINES: Final = {PLAIN: 3_000, COMBINED: 100_000}
QUICK_IMPORT_LINES: Final = {PLAIN: 500, COMBINED: 10_000}
TRIES: Final = 3


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    names: Sequence[str]
    repeats: int
    seconds: int
    is_quick: bool
    closed: int
    history: int
    levels: int
    data_dir: Path


@dataclass
class Results:
    """The results of all runs. ``facts`` are about the machine, ``demo`` about ``make demo``."""

    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    demo: list[dict[str, float]] = field(default_factory=list)


def say(sentence: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


class Runner:
    """Prepares and measures the contestants. Their databases are filled, and their web servers run side by side; while
    one is measured, the others are idle."""

    def __init__(self, options: Options, cluster: Cluster) -> None:
        self.options = options
        self.cluster = cluster
        self.results = Results()
        self.service = Service(cluster, "bench_service")
        self.peer = Peer(cluster, "bench_plain")
        self.with_history = Service(cluster, "bench_history")
        self._subjects: dict[str, Subject] = {
            RAW: self.service,
            PLAIN: self.peer,
            ALONE: self.service,
            COMBINED: self.service,
            HISTORY: self.with_history,
        }
        self.large_service = LargeService(cluster, "bench_large_service", options.levels)
        self.large_peer = LargePeer(cluster, "bench_large_plain", options.levels)
        self.streams = Service(cluster, "bench_streams")
        self._ports: dict[str, int] = {}
        self._servers = contextlib.ExitStack()
        self._started_at = time.monotonic()

    # --- all runs --------------------------------------------------------------------------------------------------

    def run(self) -> Results:
        """Perform all runs that the options ask for."""
        try:
            if set(self.options.names) - {DEMO, STREAMS} - {case.name for case in CASES if case.is_large}:
                self._prepare()
                self._measure()
            if large := [step for step in self.steps() if step.case.is_large]:
                self._measure_large(large)
            if STREAMS in self.options.names:
                self._measure_streams()
        finally:
            self._servers.close()
            subjects = (self.service, self.peer, self.with_history, self.large_service, self.large_peer, self.streams)
            self.cluster.drop(*(subject.database for subject in subjects))
        if DEMO in self.options.names and not (self.options.is_quick and self._is_all):
            self._measure_demo()
        self.results.facts["took_seconds"] = round(time.monotonic() - self._started_at)
        return self.results

    def _prepare(self) -> None:
        for subject in (self.service, self.peer):
            self._seed(subject, self.options.closed)
        raw.create_functions(self.service)
        if self.options.history:
            self._make_history()
        contestants = [PLAIN]
        if any(step.contestant == ALONE for step in self.steps()):
            contestants.append(ALONE)
        contestants.append(COMBINED)
        if self.options.history:
            contestants.append(HISTORY)
        self._serve(contestants)
        for contestant in contestants:
            self._warm_up(contestant, "reserve", FIRST_CONNECTIONS)

    def _seed(self, subject: Subject, closed: int) -> None:
        started_at = time.monotonic()
        subject.seed(closed)
        say(f"{subject.database}: filled in {time.monotonic() - started_at:.0f} s")

    def _serve(self, contestants: Sequence[str]) -> None:
        """Start the contestants' web servers, side by side."""
        for contestant in contestants:
            subject = self._subjects[contestant]
            environment = subject.environment(GROUP_COMMIT="false" if contestant == ALONE else "true")
            log = self.cluster.data_dir / f"{contestant}.log"
            serving = served(subject.application, environment, log, wsgi_workers=subject.wsgi_workers)
            self._ports[contestant] = self._servers.enter_context(serving)

    def _warm_up(self, contestant: str, verb: str, connections: int) -> None:
        """Have each thread of a web server connect and prepare its statements."""
        subject = self._subjects[contestant]
        target = subject.target(verb, self._ports[contestant])
        bodies = subject.bodies(verb, REUSED_BODIES, hot=False, lines=1)
        found = client.run(target, bodies, connections=connections, seconds=FIRST_SECONDS)
        if found.failures or not found.requests:
            raise BenchmarkFailed(f"{contestant}: {found.failures} of the first {found.requests} requests failed")
        subject.restore()

    def _make_history(self) -> None:
        needed = self.options.history * HISTORY_BYTES_EACH + SPARE_BYTES
        if (free := shutil.disk_usage(self.options.data_dir).free) < needed:
            raise BenchmarkFailed(f"The history needs {needed / 1e9:.0f} GB of disk, and {free / 1e9:.0f} are free.")
        self.cluster.create(self.with_history.database, template=self.service.database)
        self.with_history.token, self.with_history.marks = self.service.token, self.service.marks
        started_at = time.monotonic()
        with self.cluster.connect(self.with_history.database) as connection:
            connection.execute("SET session_replication_role = replica")
            last = self.options.closed + self.options.history
            for first in range(self.options.closed + 1, last + 1, HISTORY_CHUNK):
                self.with_history.insert_history(connection, first, min(last, first + HISTORY_CHUNK - 1))
                say(f"history: {min(last, first + HISTORY_CHUNK - 1):,} closed reservations")
            connection.execute("VACUUM (ANALYZE, FREEZE)")
            connection.execute("CHECKPOINT")
            size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        self.results.facts["history_seconds"] = round(time.monotonic() - started_at)
        self.results.facts["history_bytes"] = size[0] if size else 0

    @property
    def _is_all(self) -> bool:
        return len(self.options.names) == len(NAMES)

    def steps(self) -> list[Step]:
        """The loads of one repeat."""
        is_quick, with_history = self.options.is_quick, bool(self.options.history)
        # A quick run skips cases that are slow or resemble another one, unless they are named.
        return [
            step
            for case in CASES
            if case.name in self.options.names and (case.is_quick or not is_quick or not self._is_all)
            for step in steps_of(case, is_quick=is_quick, with_history=with_history)
        ]

    def _measure(self) -> None:
        steps = [step for step in self.steps() if not step.case.is_large]
        for repeat in range(self.options.repeats):
            self._measure_once(steps, repeat)
            for name, backlog in SWEEPS.items():
                if name in self.options.names and not (self.options.is_quick and backlog > 10_000):
                    self._sweep(name, backlog, repeat)
            if IMPORT in self.options.names:
                self._import(repeat)
        for name, of in HALF.items():
            if name in self.options.names:
                self._measure_half_load(name, of)

    def _measure_once(self, steps: Sequence[Step], repeat: int) -> None:
        for number, step in enumerate(steps, 1):
            found = self._run(step)
            self._note(step, repeat, found)
            say(
                f"[{repeat + 1}/{self.options.repeats} {number}/{len(steps)}] {step}: {found.per_second:,.1f}/s"
                f"  p50 {found.p50_ms:.1f}  p95 {found.p95_ms:.1f}  p99 {found.p99_ms:.1f} ms"
                + (
                    ""
                    if found.web_cpu_us is None
                    else f"  CPU {found.web_cpu_us:,.0f} + {found.postgresql_cpu_us:,.0f} µs"
                )
            )

    def _measure_large(self, steps: Sequence[Step]) -> None:
        """Measure the cases with a large catalogue, in databases of their own, after the other servers have stopped."""
        self._servers.close()
        self._subjects |= {PLAIN: self.large_peer, COMBINED: self.large_service}
        low = low_levels(self.options.levels)
        for contestant in (PLAIN, COMBINED):
            self._seed(self._subjects[contestant], 0)
        self._serve((PLAIN, COMBINED))
        for contestant in (PLAIN, COMBINED):
            self._warm_up(contestant, "low-stock", LARGE_CONNECTIONS)
        for repeat in range(self.options.repeats):
            self._measure_once(steps, repeat)
        plans = {contestant: self._explain(self._subjects[contestant], low) for contestant in (PLAIN, COMBINED)}
        self.results.facts["low_stock"] = {"levels": self.options.levels, "low": low, "plans": plans}

    @staticmethod
    def _explain(subject: Subject, low: int) -> list[list[str]]:
        """The query plans of the low-stock route. Checks that it answers ``low`` levels and that the books balance."""
        command = [sys.executable, "-m", "benchmarks.plans", subject.path("low-stock"), subject.authorization()]
        printed = json.loads(call(command, subject.environment()))
        total = printed["answer"].get("totalItems", printed["answer"].get("total_items"))
        if (printed["status"], total) != (200, low):
            raise BenchmarkFailed(f"{subject.database}: {total} low levels instead of {low} ({printed['status']})")
        subject.check_books()
        plans: list[list[str]] = printed["plans"]
        return plans

    def _note(self, step: Step, repeat: int, found: Load) -> None:
        self.results.samples.append(Sample(step.case.name, step.contestant, step.connections, step.way, repeat, found))

    # --- one run -----------------------------------------------------------------------------------------------------

    def _run(self, step: Step) -> Load:
        subject = self._subjects[step.contestant]
        try:
            if step.contestant == RAW:
                found = raw.run(
                    self.cluster,
                    subject.database,
                    step.way,
                    hot=step.case.hot,
                    connections=step.connections,
                    seconds=self.options.seconds,
                )
                self._check(step, subject, found.requests, found, 0)
                return found
            return self._run_web(step, subject)
        finally:
            subject.restore()

    def _run_web(self, step: Step, subject: Subject) -> Load:
        """Load the web server. If a fast machine uses up the prepared holds, repeat with more."""
        case = step.case
        per_second = HOLDS_PER_SECOND.get(step.contestant, HOLDS_PER_SECOND_OF_THE_SERVICE)
        for _ in range(TRIES):
            count = per_second * (self.options.seconds + 1) if case.needs_holds else REUSED_BODIES
            if case.verb in {"adjust", "check"}:
                count //= case.lines
            case.prepare(subject, count)
            bodies = subject.bodies(case.verb, count, hot=case.hot, lines=case.lines)
            target = subject.target(case.verb, self._ports[step.contestant])
            first = bodies[: max(1, count // 10)]
            if case.is_read and case.verb in subject.answers:
                client.require(target, first[0], subject.answers[case.verb])
            warm = client.run(target, first, connections=step.connections, seconds=WARM_UP_SECONDS)
            found = load.measured(
                self.cluster, target, bodies[len(first) :], connections=step.connections, seconds=self.options.seconds
            )
            if case.needs_holds and found.requests >= len(bodies) - len(first):
                subject.restore()
                per_second *= 4
                continue
            if warm.failures:
                raise BenchmarkFailed(f"{step}: {warm.failures} of the first {warm.requests} requests failed")
            self._check(step, subject, warm.requests + found.requests, found, step.connections)
            return found
        raise BenchmarkFailed(f"{step}: too fast for {count} holds; try fewer --seconds")

    def _check(self, step: Step, subject: Subject, answered: int, found: Load, unanswered: int) -> None:
        """Check that every answer was the expected one and has its rows in the tables, and that the books balance.

        wrk disconnects when its time is over: one request per connection may then be executed but unanswered.
        """
        if found.failures:
            raise BenchmarkFailed(f"{step}: {found.failures} of {found.requests} requests failed")
        if step.case.verb == "sold-out":
            answered = unanswered = 0
        if not step.case.is_read or step.case.verb == "sold-out":
            done = subject.settled_count(step.case.verb)
            if not answered <= done <= answered + unanswered:
                raise BenchmarkFailed(f"{step}: {answered} answered, {done} done")
            subject.check_books()

    # --- figures other than request rates ----------------------------------------------------------

    def _sweep(self, name: str, backlog: int, repeat: int) -> None:
        contestants = (PLAIN, COMBINED, *((HISTORY,) if self.options.history else ()))
        for contestant in contestants:
            subject = self._subjects[contestant]
            subject.prepare_holds(backlog, hot=False, due=True)
            command = [sys.executable, "-m", "benchmarks.sweep", "plain" if contestant == PLAIN else "service"]
            printed = json.loads(call(command, subject.environment()))
            found = Load(printed["expired"], printed["seconds"], 0, 0, 0, 0)
            case = Case(name, name, "expire")
            if printed["expired"] != backlog:
                raise BenchmarkFailed(f"{name} {contestant}: {printed['expired']} of {backlog} expired")
            self._check(Step(case, contestant, 1), subject, backlog, found, 0)
            subject.restore()
            self._note(Step(case, contestant, 1), repeat, found)
            say(f"[{repeat + 1}/{self.options.repeats}] {name} {contestant}: {found.per_second:,.0f} expired/s")

    def _import(self, repeat: int) -> None:
        for contestant, lines in (QUICK_IMPORT_LINES if self.options.is_quick else IMPORT_LINES).items():
            subject = self._subjects[contestant]
            file = self.cluster.data_dir / "import.csv"
            write_csv(file, lines)
            who = "plain" if contestant == PLAIN else "service"
            command = [sys.executable, "-m", "benchmarks.importing", who, os.fspath(file)]
            found = Load(lines, json.loads(call(command, subject.environment()))["seconds"], 0, 0, 0, 0)
            step = Step(Case(IMPORT, IMPORT, "import"), contestant, 1)
            self._check(step, subject, lines, found, 0)
            subject.restore()
            file.unlink()
            self._note(step, repeat, found)
            say(f"[{repeat + 1}/{self.options.repeats}] {IMPORT} {contestant}: {found.per_second:,.0f} lines/s")

    def _measure_half_load(self, name: str, of: str) -> None:
        """Measure the latency at half the best rate of a case, sending at that rate however long the answers take."""
        for contestant in (COMBINED,) if self.options.is_quick else (PLAIN, COMBINED):
            rates = [s.load.per_second for s in self.results.samples if (s.case, s.contestant) == (of, contestant)]
            if not rates:
                continue
            case = next(case for case in CASES if case.name == of)
            subject = self._subjects[contestant]
            rate = max(rates) / 2
            for repeat in range(self.options.repeats):
                seconds = max(2, self.options.seconds)
                bodies = subject.bodies(case.verb, int(rate * seconds) + 1, hot=case.hot, lines=1)
                target = subject.target(case.verb, self._ports[contestant])
                found = client.run(target, bodies, connections=HALF_CONNECTIONS, seconds=seconds, rate=rate)
                step = Step(Case(name, name, case.verb), contestant, HALF_CONNECTIONS)
                self._check(step, subject, found.requests, found, 0)
                subject.restore()
                self._note(step, repeat, found)
                say(f"{step}: {found.per_second:,.0f}/s  p50 {found.p50_ms:.1f}  p99 {found.p99_ms:.1f} ms")

    def _measure_streams(self) -> None:
        """Measure the relay in a database of its own, after the web servers have stopped."""
        self._servers.close()
        repeats, seconds = self.options.repeats, self.options.seconds
        self.results.facts["streams"] = streams.measure(self.streams, repeats, seconds, self.options.is_quick)
        say(f"streams: {self.results.facts['streams']}")

    def _measure_demo(self) -> None:
        for fresh in (True, False):
            found = demo.measure(self.cluster.data_dir / "demo", is_fresh=fresh)
            self.results.demo.append(found)
            say("demo: " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()))
