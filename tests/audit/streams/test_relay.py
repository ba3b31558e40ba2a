"""The relay: sinks don't wait for each other, failures are logged once a minute, and what is begun is finished."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence

import psycopg
import pytest
from structlog.testing import capture_logs

from audit import feed, streams
from audit.models import Heartbeat, StreamCursor
from audit.streams import relay
from audit.streams.cursors import _lock
from audit.streams.relay import _Attempts
from tests import loops
from tests.audit.feed.writers import write
from tests.audit.streams.sinks import KeptEvents, refuse
from tests.concurrency.threads import await_true, stranger, together

PATIENCE_SECONDS = 30


@pytest.fixture
def _log() -> None:
    """A log with a tick."""
    feed.tick()


def relay_until(happened: Callable[[], bool], *sinks: streams.Sink, beside: Sequence[streams.Running] = ()) -> None:
    """Run a relay until something has happened, and then until it has stopped."""

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(streams.run_relay(sinks, stop, beside=beside))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened() and not running.done():  # noqa: ASYNC110 - it happens in other threads
                await asyncio.sleep(0.01)
            stop.set()
            await running

    loops.run(run())


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_a_relay_that_ticks_has_a_heartbeat() -> None:
    sink = KeptEvents("sink")
    write("a")
    relay_until(lambda: bool(sink.keys), sink)
    assert Heartbeat.objects.filter(name="relay").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_a_sink_that_fails_delays_no_other_and_gets_everything_later() -> None:
    is_away = True

    def maybe() -> None:
        if is_away:
            refuse()

    good, bad = KeptEvents("good"), KeptEvents("bad", maybe)
    write("a", "b", "c", "d", "e")
    relay_until(lambda: len(good.keys) == 5, good, bad)
    assert bad.keys == []
    assert good.is_closed
    assert bad.is_closed
    is_away = False
    write("f")
    relay_until(lambda: len(bad.keys) == len(good.keys) == 6, good, bad)
    assert bad.keys == good.keys == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_a_relay_that_is_stopped_finishes_its_batch_and_what_runs_beside() -> None:
    begun, ended, go_on = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        threading.Timer(0.1, go_on.set).start()  # After the relay was asked to stop.
        assert go_on.wait(PATIENCE_SECONDS)

    async def beside(stop: asyncio.Event) -> None:
        await stop.wait()
        ended.set()

    sink = KeptEvents(before=wait)
    write("a", "b", "c", "d")
    relay_until(begun.is_set, sink, beside=[beside])
    assert sink.keys == ["a", "b", "c"]
    assert ended.is_set()
    assert streams.standing_of(sink.name).oldest_at is not None
    assert streams.drain(sink) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_what_runs_beside_ends_the_relay_if_it_fails() -> None:
    async def beside(_: asyncio.Event) -> None:
        raise RuntimeError("a fault")

    running: Callable[[asyncio.Event], Awaitable[None]] = beside
    with pytest.raises(ExceptionGroup, match="unhandled"):
        relay_until(lambda: False, KeptEvents(), beside=[running])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_one_relay_at_a_time_publishes_to_a_sink() -> None:
    sink = KeptEvents()
    keys = [str(n) for n in range(60)]
    write(*keys)
    feed.tick()

    def publish() -> None:
        while len(sink.keys) < len(keys):
            try:
                streams.publish_next(sink)
            except streams.ClaimedElsewhere:
                continue

    together(*[publish] * 4)
    assert sink.keys == keys


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_a_relay_that_waits_for_a_sink_holds_up_neither_ticks_nor_vacuum() -> None:
    write("a")
    feed.tick()
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)

    def look() -> None:
        assert begun.wait(PATIENCE_SECONDS)
        try:
            with stranger() as other:
                rows = other.execute(
                    "SELECT backend_xid, backend_xmin FROM pg_stat_activity WHERE state = 'idle in transaction'"
                    " AND datname = current_database()"
                    " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
                ).fetchall()
                assert rows == [(None, None)]
            write("b")
            assert feed.tick()
        finally:
            go_on.set()

    together(lambda: streams.drain(KeptEvents(before=wait)), look)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_a_claim_ends_with_the_connection_of_its_relay() -> None:
    sink = KeptEvents()
    write("a")
    feed.tick()
    with contextlib.suppress(psycopg.Error), stranger() as dead:
        dead.execute("SELECT pg_advisory_xact_lock(%s)", [_lock(sink.name)])
        with pytest.raises(streams.ClaimedElsewhere):
            streams.drain(sink)
        dead.execute("SET idle_in_transaction_session_timeout = '10ms'")
        await_true(lambda: _is_drained(sink), "the server to end the idle transaction")
    assert sink.keys == ["a"]


def _is_drained(sink: KeptEvents) -> bool:
    try:
        return streams.drain(sink) >= 0
    except streams.ClaimedElsewhere:
        return False


class Failing:
    """A worker whose steps raise what they are given, one after the other; None for none."""

    name = "failing"

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = list(errors)

    def step(self) -> float:
        if error := self._errors.pop(0):
            raise error
        return 7.0

    def close(self) -> None:
        """Nothing."""


@pytest.mark.django_db(transaction=True)  # A heartbeat is written.
def test_failures_are_logged_once_a_minute_for_each_cause_and_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(relay.time, "monotonic", lambda: now)
    away, full = streams.Unavailable("away", "no route"), streams.Unavailable("full", "no memory")
    attempts = _Attempts(Failing(*[away] * 20, full, away, None, away, ValueError("a fault")))
    with capture_logs() as logs:
        pauses = [attempts.step() for _ in range(20)]
        assert [entry["cause"] for entry in logs] == ["away"]
        attempts.step()
        assert [entry["cause"] for entry in logs] == ["away", "full"]
        now += 61
        attempts.step()
        assert [entry["cause"] for entry in logs] == ["away", "full", "away"]
        assert attempts.step() == 7.0
        assert not attempts.are_failing
        attempts.step()
        attempts.step()
    assert 0.1 <= pauses[0] <= 0.2
    assert all(15 <= pause <= 30 for pause in pauses[10:])
    assert len(set(pauses[10:])) > 1
    assert [entry["event"] for entry in logs] == [*["relay_waits"] * 3, "relay_goes_on", *["relay_waits"] * 2]
    assert [bool(entry.get("exc_info")) for entry in logs] == [*[False] * 5, True]
    assert logs[0] == {
        "event": "relay_waits",
        "log_level": "warning",
        "worker": "failing",
        "cause": "away",
        "detail": "no route",
        "exc_info": False,
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_log")
def test_a_new_sink_begins_with_the_oldest_event_and_keeps_its_cursor_by_its_name() -> None:
    write("a")
    feed.tick()
    assert streams.drain(KeptEvents("one")) == 1
    assert streams.drain(KeptEvents("one")) == 0
    assert streams.drain(KeptEvents("two")) == 1
    assert sorted(StreamCursor.objects.values_list("name", flat=True)) == ["one", "two"]
