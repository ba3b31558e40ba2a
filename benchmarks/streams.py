"""How fast events come to a Redis stream, to a listener of the feed and to webhooks, and how fast a backlog does."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import redis

from benchmarks import chart, webhooks
from benchmarks.cluster import BenchmarkFailed, Connection, served
from benchmarks.relay import commit, commit_backlog, publish_once, relay
from benchmarks.service import Service

EVENTS_PER_SECOND: Final = 500
EVENTS_OF_A_COMMIT: Final = 5
BACKLOG: Final = 50_000
QUICK_BACKLOG: Final = 10_000
_DELAY_GOAL_MS: Final = 250
_RATES: Final = (
    ("backlog to Redis stream", 5_000, "per_second"),
    ("webhooks, another hangs", 500, "webhooks_per_second"),
)
"""The title, the goal in events a second and the name of each rate."""
_PERCENTS: Final = (50, 95, 99)
_WARM_UP_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 60.0

ABOUT: Final = f"""
`manage.py relay_events`, and `GET /api/v1/events/stream` of a web process without a relay. Delays:
{EVENTS_PER_SECOND} events a second, {EVENTS_OF_A_COMMIT} a commit, until a reader on this machine has them.
Webhooks: sent by one relay, in any order, to a receiver that answers at once, while the receiver of another
subscription to the same events never answers; from the first commit to the receipt of the last event.

![Milliseconds from the commit to a reader, as bars](benchmark-streams.svg)

![Events a second, as bars](benchmark-rates.svg)
""".strip()


def measure(service: Service, repeats: int, seconds: float, is_quick: bool) -> dict[str, Any]:
    """The figures for the report: delays in milliseconds by percentile, and the rates of a backlog and of webhooks."""
    streams, backlog = Streams(service), QUICK_BACKLOG if is_quick else BACKLOG
    webhook_events = webhooks.QUICK_EVENTS if is_quick else webhooks.EVENTS
    streams.prepare()
    webhook_rates = webhooks.sent_per_second(service, repeats, webhook_events)
    delays = [streams.delays(max(2.0, seconds)) for _ in range(repeats)]
    rates = [streams.drained_per_second(backlog) for _ in range(repeats)]
    of_feed = streams.delays_of_feed(repeats, max(2.0, seconds))
    return {
        "delays_ms": _percentiles(delays),
        "feed_delays_ms": _percentiles(of_feed),
        "backlog": backlog,
        "per_second": rates,
        "webhook_events": webhook_events,
        "webhooks_per_second": webhook_rates,
    }


def _percentiles(delays: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    return {f"p{percent}": [_percentile(each, percent) for each in delays] for percent in _PERCENTS}


def figures(facts: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[float]]]:
    """The rows of the report's table."""
    for percent, values in facts["delays_ms"].items():
        yield f"from the commit to a reader, {percent}, ms", values
    for percent, values in facts["feed_delays_ms"].items():
        yield f"from the commit to a listener of the feed, {percent}, ms", values
    yield f"a backlog of {facts['backlog']:,}, events a second", facts["per_second"]
    yield f"{facts['webhook_events']:,} webhooks while another receiver hangs, a second", facts["webhooks_per_second"]


def goals(facts: Mapping[str, Any]) -> Iterator[tuple[str, float | None, Callable[[float], bool]]]:
    """Each goal, the median of its figure (None if it wasn't measured), and whether a figure reaches it."""
    found = facts.get("streams")
    for title, figure in (("Redis stream", "delays_ms"), ("a listener of the feed", "feed_delays_ms")):
        delay = median(found[figure]["p95"]) if found else None
        yield f"commit to {title}, p95 in ms: < {_DELAY_GOAL_MS}", delay, lambda value: value < _DELAY_GOAL_MS
    for title, goal, figure in _RATES:
        rate = median(found[figure]) if found else None
        yield f"{title}, events/s: ≥ {goal:,}", rate, _at_least(goal)


def _at_least(least: float) -> Callable[[float], bool]:
    return lambda value: value >= least


def charts(facts: Mapping[str, Any]) -> dict[str, str]:
    """The charts of the delays and of the rates, as SVG by the names of their files."""
    delays = [
        chart.Group(percent, {"relay": median(values), "feed": median(facts["feed_delays_ms"][percent])})
        for percent, values in facts["delays_ms"].items()
    ]
    rates = [chart.Group(title, {"goal": goal, "measured": median(facts[figure])}) for title, goal, figure in _RATES]
    title = f"Milliseconds from the commit to a reader, {EVENTS_PER_SECOND} events a second"
    return {
        "benchmark-streams.svg": chart.svg(title, delays),
        "benchmark-rates.svg": chart.svg("Events a second from one relay", rates),
    }


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _listen(answer: http.client.HTTPResponse, arrived: dict[str, float]) -> None:
    """Record when each event of a stream was received, until the stream ends."""
    with suppress(OSError, http.client.HTTPException):
        while line := answer.readline():
            if line.startswith(b"data: "):
                arrived[json.loads(line[6:])["eventId"]] = time.monotonic()


class Streams:
    """Relays of a database of their own, and streams of its events."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._redis = redis.Redis.from_url(service.cluster.redis_url, decode_responses=True)

    def prepare(self) -> None:
        """Create the database."""
        self._service.cluster.create(self._service.database)
        self._service.migrate()

    def delays(self, seconds: float) -> list[float]:
        """The milliseconds from the answer to each commit to a reader's receipt of its events, sorted."""
        stream = f"bench:{uuid4()}"
        sent: dict[str, float] = {}
        arrived: dict[str, float] = {}
        is_over = threading.Event()
        reader = threading.Thread(target=self._read, args=(stream, arrived, is_over), daemon=True)
        with relay(self._service, stream), self._service.cluster.connect(self._service.database) as connection:
            reader.start()
            first: dict[str, float] = {}
            self._write_until(connection, time.monotonic() + _WARM_UP_SECONDS, first)
            self._wait_for(first, arrived)  # Once the relay has started.
            self._write_until(connection, time.monotonic() + seconds, sent)
            self._wait_for(sent, arrived)
            is_over.set()
            reader.join()
        self._redis.delete(stream)
        return sorted(max(0.0, arrived[each] - at) * 1000 for each, at in sent.items())

    def drained_per_second(self, events: int) -> float:
        """The rate at which a relay publishes a backlog without ticks, in events a second by Redis' clock."""
        stream = f"bench:{uuid4()}"
        publish_once(self._service, stream)  # What the runs before have left.
        with self._service.cluster.connect(self._service.database) as connection:
            commit_backlog(connection, events)
        self._redis.delete(stream)
        publish_once(self._service, stream)
        entries: Any = self._redis.xrange(stream)
        self._redis.delete(stream)
        if len(entries) != events:
            raise BenchmarkFailed(f"{len(entries):,} of {events:,} events were published")
        first, last = (int(entries[n][0].partition("-")[0]) for n in (0, -1))
        return events / max(last - first, 1) * 1000

    def delays_of_feed(self, repeats: int, seconds: float) -> list[list[float]]:
        """The milliseconds from the answer to each commit to a listener's receipt of its events, sorted."""
        token = self._service.issue_token()
        with (
            TemporaryDirectory() as folder,
            served(
                "config.asgi:application", self._service.environment(LOG_LEVEL="WARNING"), Path(folder) / "web"
            ) as port,
            self._service.cluster.connect(self._service.database) as connection,
        ):
            return [self._delays_of_listener(connection, port, token, seconds) for _ in range(repeats)]

    def _delays_of_listener(self, connection: Connection, port: int, token: str, seconds: float) -> list[float]:
        sent: dict[str, float] = {}
        arrived: dict[str, float] = {}
        stream = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
        with closing(stream):
            stream.request("GET", "/api/v1/events/stream?after=now", headers={"Authorization": f"Bearer {token}"})
            answer = stream.getresponse()
            threading.Thread(target=_listen, args=(answer, arrived), daemon=True).start()
            self._write_until(connection, time.monotonic() + seconds, sent)
            self._wait_for(sent, arrived)
            if stream.sock is not None:
                stream.sock.shutdown(socket.SHUT_RDWR)
        return sorted(max(0.0, arrived[each] - at) * 1000 for each, at in sent.items())

    @staticmethod
    def _wait_for(sent: dict[str, float], arrived: dict[str, float]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while missing := sent.keys() - arrived.keys():
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{len(missing)} of {len(sent)} events did not come in {_PATIENCE_SECONDS:.0f} s")
            time.sleep(0.05)

    def _write_until(self, connection: Connection, end: float, sent: dict[str, float]) -> None:
        """Commit events at an even rate, and note when each commit was answered."""
        due = time.monotonic()
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            ids = commit(connection, EVENTS_OF_A_COMMIT)
            sent.update(dict.fromkeys(ids, time.monotonic()))
            due += EVENTS_OF_A_COMMIT / EVENTS_PER_SECOND

    def _read(self, stream: str, arrived: dict[str, float], is_over: threading.Event) -> None:
        place = "0"
        while not is_over.is_set():
            found: Any = self._redis.xread({stream: place}, count=1000, block=200)
            for _, entries in found:
                now = time.monotonic()
                arrived.update((fields["id"], now) for _, fields in entries)
                place = entries[-1][0]
