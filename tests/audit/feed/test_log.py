"""The log: a batch is what was committed between two ticks, and a reader gets each event once, in order of its key."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection

from audit import feed
from audit.errors import Invalid
from audit.feed import BEGINNING, Cursor, reading, ticks
from audit.models import OutboxEvent
from tests.audit.feed.reading import events_after
from tests.audit.feed.reading import keys_after as read
from tests.audit.feed.writers import Writer, write
from tests.concurrency.threads import Crew, await_waiting, stranger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _started_log() -> None:
    """A log with a tick, so that the next one doesn't begin an epoch."""
    feed.tick()


def test_a_batch_is_what_was_committed_between_two_ticks() -> None:
    start = feed.cursor_now()
    assert feed.tick() is None
    write("a", "b")
    with Writer() as open_one:
        open_one.write("open")
        write("c")
        assert feed.tick().events == 3
        assert read(start) == ["a", "b", "c"]
        assert feed.tick() is None
    middle = feed.cursor_now()
    assert read(middle) == []
    assert feed.tick().events == 1
    assert read(middle) == ["open"]
    assert read(start) == ["a", "b", "c", "open"]


def test_pages_of_any_size_give_the_same_events() -> None:
    start = feed.cursor_now()
    for n in range(7):
        write(*(f"{n}-{m}" for m in range(n)))
        feed.tick()
    whole = read(start, 1000)
    assert len(whole) == 21
    for limit in (1, 2, 3, 5, 8):
        assert read(start, limit) == whole
    for event in events_after(start):
        assert read(event.cursor) == whole[whole.index(event.key) + 1 :]


# --- transactions that stay open --------------------------------------------------------------------------------------


def test_a_long_transaction_from_elsewhere_delays_nothing_but_would_delay_a_cut_by_xmin() -> None:
    start = feed.cursor_now()
    with stranger() as other:
        other.execute("CREATE TEMPORARY TABLE elsewhere (n int)")
        mine = other.execute("SELECT pg_current_xact_id()").fetchone()
        for n in range(3):
            write(f"{n}")
            batch = feed.tick()
            assert batch
            assert batch.events == 1
            assert read(start) == [f"{m}" for m in range(n + 1)]
        # The negative control: what ended before the oldest running transaction began. It stalls. Transactions of other
        # databases, where other tests run, count for the server's own xmin.
        oldest = """SELECT coalesce(min(backend_xid::text::bigint), 2 ^ 62)::bigint FROM pg_stat_activity
            WHERE datname = current_database()"""
        with connection.cursor() as cursor:
            cut = f"SELECT aggregateid FROM audit_outboxevent WHERE xid::text::bigint < ({oldest})"
            cursor.execute(f"{cut} AND xid >= %s::text::xid8", [str(mine and mine[0])])
            assert cursor.fetchall() == []
            other.rollback()
            cursor.execute(f"{cut} AND xid >= %s::text::xid8", [str(mine and mine[0])])
            assert len(cursor.fetchall()) == 3
    assert read(start) == ["0", "1", "2"]


def test_an_event_of_a_transaction_that_stays_open_over_ticks_comes_once_in_a_later_batch() -> None:
    start = feed.cursor_now()
    with Writer() as slow:
        early = slow.write("x")
        for n in range(3):
            write(f"{n}")
            feed.tick()
        assert read(start) == ["0", "1", "2"]
    last = feed.cursor_now()
    write("3")
    feed.tick()
    assert read(last) == ["x", "3"]  # In the order of positions within the batch.
    assert read(start) == ["0", "1", "2", "x", "3"]
    (late,) = [event for event in events_after(start) if event.key == "x"]
    assert late.position == early[0]


def test_a_transaction_that_is_rolled_back_leaves_no_event_and_no_tick() -> None:
    start = feed.cursor_now()
    with Writer() as writer:
        writer.write("never")
        writer.rollback()
    assert feed.tick() is None
    assert read(start) == []


def test_one_tick_at_a_time() -> None:
    write("a")
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [ticks._LOCK])
        assert feed.tick() is None
    assert feed.tick() is not None


def test_a_tick_that_waits_shows_all_that_was_committed_before() -> None:
    write("a")
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [ticks._LOCK])
        waiting = Crew(partial(feed.tick, waits=True))
        await_waiting()
        other.rollback()
        (batch,) = waiting.join()
    assert batch.events == 1
    assert feed.tick(waits=True) is None


# --- cursors ----------------------------------------------------------------------------------------------------------


def test_a_cursor_of_no_tick_is_refused_and_every_given_one_is_parsed() -> None:
    now = feed.cursor_now()
    write("a")
    feed.tick()
    assert Cursor.parse(str(now)) == now
    ahead = [
        Cursor(now.epoch, now.tick + 10, 1),
        Cursor(now.epoch + 1, now.tick, 0),
        Cursor(now.epoch + 1, now.tick + 99, 0),
        Cursor(10**9 - 1, 10**18 - 1, 10**18 - 1),
    ]
    for cursor in ahead:
        with pytest.raises(Invalid, match="has not given"):
            feed.read_after(cursor, 1)
    assert read(BEGINNING)[-1] == "a"


def test_a_cursor_at_a_time_has_all_events_since_behind_it() -> None:
    write("before")
    feed.tick()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment = cursor.fetchone()[0]
    write("after")
    feed.tick()
    assert read(feed.cursor_at(moment)) == ["after"]
    assert read(feed.cursor_at(moment - timedelta(days=365 * 50)))[-2:] == ["before", "after"]
    assert read(feed.cursor_at(moment + timedelta(days=1))) == []


# --- from a snapshot of the tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_snapshot_and_the_feed_after_it_have_no_hole_and_no_double(limit: int) -> None:
    write("ticked")
    feed.tick()
    write("committed, in no batch")
    with Writer() as slow, Writer() as slower:
        slow.write("open")
        slower.write("open for long")
        with feed.one_snapshot() as cursor:
            read_there = set(OutboxEvent.objects.values_list("key", flat=True))
            write("committed meanwhile")
            assert set(OutboxEvent.objects.values_list("key", flat=True)) == read_there
        cursor = Cursor.parse(str(cursor))
        assert read_there == {"ticked", "committed, in no batch"}
        assert read(cursor, limit) == []
        feed.tick()
        assert read(cursor, limit) == ["committed meanwhile"]
        slow.commit()
        feed.tick()
        write("later")
        feed.tick()
    feed.rebase()
    assert read(cursor, limit) == ["committed meanwhile", "open", "later", "open for long"]
    assert feed.read_after(cursor, 100).cursor.seen is None


def test_a_tick_that_looked_before_the_snapshot_and_was_stored_after_it_brings_no_double() -> None:
    write("first")
    with stranger() as ticker:
        ticker.execute(ticks._TICK.encode())  # Has looked, but isn't stored.
        write("second")
        with feed.one_snapshot() as cursor:
            assert OutboxEvent.objects.count() == 2
        ticker.commit()
    write("third")
    feed.tick()
    assert read(cursor) == ["third"]


# --- large batches ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read batches of more than ten events by position, eight rows at a time."""
    monkeypatch.setattr(reading, "_READ_WHOLE", 10)
    monkeypatch.setattr(reading, "_MOST_LOOKED_AT", 8)
    for name in ("_BY_POSITION", "_LAST_LOOKED_AT"):
        sql = getattr(reading, name)
        assert "LIMIT 20000" in sql
        monkeypatch.setattr(reading, name, sql.replace("LIMIT 20000", "LIMIT 8"))


LIMITS = (1, 3, 7, 8, 9, 100)


@pytest.mark.usefixtures("small_pieces")
def test_a_large_batch_is_read_in_pieces_among_rows_of_others() -> None:
    start = feed.cursor_now()
    with Writer() as slow, Writer() as large:
        slow.write("s0")
        for n in range(15):
            large.write(f"{n}")
            slow.write(*(f"s{n}-{m}" for m in range(3 if n % 5 else 20)))
        large.commit()
        feed.tick()
        for limit in LIMITS:
            assert read(start, limit) == [f"{n}" for n in range(15)]
    middle = feed.cursor_now()
    write("end")
    feed.tick()
    whole = read(middle)
    assert len(whole) == len(set(whole)) == 12 * 3 + 3 * 20 + 2
    for limit in LIMITS:
        assert read(middle, limit) == whole
        assert read(start, limit)[15:] == whole
