"""The end of the log in memory: bounded, and read from any place in it."""

from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from audit.feed import Cursor, LoggedEvent, Selection, tail
from audit.feed.cursors import Seen
from audit.feed.selecting import FeedEvent
from audit.feed.snapshots import Snapshot
from audit.feed.tail import Tail

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(tick: int, position: int, payload: str = "{}") -> FeedEvent:
    cursor = Cursor(1, tick, position)
    return FeedEvent.of(LoggedEvent(cursor, uuid4(), "test", str(position), "TestEvent", payload, NOW, position))


def keys(of: Tail, cursor: Cursor, limit: int = 100, selection: Selection = Selection()) -> list[str]:  # noqa: B008
    return [each.key for each in of.after(cursor, selection, limit).events]


def made(*events: FeedEvent, end: Cursor = Cursor(1, 9, 90)) -> Tail:  # noqa: B008
    return Tail(Cursor(1, 1, 10), (), Cursor(1, 1, 10)).extended(events, end)


def test_it_is_read_from_any_place_in_the_order_of_the_log() -> None:
    known = made(event(2, 20), event(3, 15), event(3, 21))  # 15 was committed late.
    assert keys(known, Cursor(1, 1, 10)) == ["20", "15", "21"]
    assert keys(known, Cursor(1, 2, 20)) == ["15", "21"]
    assert keys(known, Cursor(1, 2, 20), limit=1) == ["15"]
    assert keys(known, Cursor(1, 3, 15)) == ["21"]
    assert keys(known, Cursor(1, 1, 10), selection=Selection(key="15")) == ["15"]
    assert known.after(Cursor(1, 1, 10), Selection(), 2).has_more
    assert not known.after(Cursor(1, 1, 10), Selection(), 3).has_more
    assert known.after(Cursor(1, 1, 10), Selection(key="x"), 3).cursor == known.end
    assert known.after(Cursor(2, 1, 1), Selection(), 3).cursor == Cursor(2, 1, 1)


def test_it_drops_its_oldest_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST_EVENTS", 3)
    known = made(*(event(2, position) for position in range(20, 25)))
    assert keys(known, Cursor(1, 2, 21)) == ["22", "23", "24"]
    assert (known.holds(Cursor(1, 2, 21)), known.holds(Cursor(1, 2, 20))) == (True, False)
    monkeypatch.setattr(tail, "MOST_BYTES", 2 * len(known.events[0].body))
    known = known.extended([event(3, 30)], Cursor(1, 3, 30))
    assert keys(known, Cursor(1, 2, 23)) == ["24", "30"]
    assert not known.holds(Cursor(1, 2, 22))
    monkeypatch.setattr(tail, "MOST_BYTES", 1)
    assert known.extended([event(4, 40)], Cursor(1, 4, 40)).events == ()


def test_a_cursor_of_a_snapshot_leaves_out_what_it_has_seen() -> None:
    known = made(event(2, 20), event(2, 21), event(4, 40), end=Cursor(1, 4, 40))
    cursor = Cursor(1, 1, 10, Seen(3, 30, Snapshot.parse("22:23:20")))
    found = known.after(cursor, Selection(), 1)
    assert [each.key for each in found.events] == ["20"]
    again = Cursor.parse(msgspec.json.decode(found.events[0].body)["cursor"])
    assert (again, again.seen) == (found.cursor, cursor.seen)
    found = known.after(again, Selection(), 100)
    assert [each.key for each in found.events] == ["40"]
    assert found.cursor == known.end
