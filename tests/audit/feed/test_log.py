"""The log: a batch is what was committed between two ticks, and a reader gets each event once, in order of its key."""

import pytest

from audit import feed
from tests.audit.feed.reading import events_after
from tests.audit.feed.reading import keys_after as read
from tests.audit.feed.writers import Writer, write

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
