"""Texts of cursors."""

import re

import pytest

from audit.errors import Invalid
from audit.feed import Cursor
from audit.feed.cursors import Seen
from audit.feed.snapshots import Snapshot

NO_CURSORS = (
    *(
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "-1.2.3",
        "1.2.x",
        "１.２.３",
        "1.2.3\n",
        "\0",
        "1.2.\0",
        "1.2.3.4.5",
        "1.2.3.4.5.6",
        "1.2.3.4.5.6-",
        "1.2.3.4.5.6-7-",
        "now",
        "💥",
    ),
    *("1." + "9" * 30 + ".1", "1" * 100_000),
)


@pytest.mark.parametrize("text", NO_CURSORS)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not a cursor") as refused:
        Cursor.parse(text)
    assert len(refused.value.detail) < 200


@pytest.mark.parametrize(
    "snapshot", [None, "100:100:", "100:104:100,102", "100:2000:" + ",".join(map(str, range(100, 900)))]
)
def test_a_cursor_is_the_same_after_its_text_was_parsed(snapshot: str | None) -> None:
    seen = Seen(10**17, 10**18 - 1, Snapshot.parse(snapshot)) if snapshot else None
    cursor = Cursor(12, 10**17, 10**18 - 1, seen)
    assert Cursor.parse(str(cursor)) == cursor
    assert re.fullmatch(r"[0-9.-]+", str(cursor))
