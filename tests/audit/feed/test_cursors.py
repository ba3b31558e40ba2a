"""Texts of cursors."""

import pytest

from audit.errors import Invalid
from audit.feed import Cursor

NO_CURSORS = (
    *("", "1", "1.2", "1.2.3.4", "-1.2.3", "1.2.x", "１.２.３", "1.2.3\n", "\0", "1.2.\0", "now", "💥"),
    *("1." + "9" * 30 + ".1", "1" * 100_000),
)


@pytest.mark.parametrize("text", NO_CURSORS)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not a cursor") as refused:
        Cursor.parse(text)
    assert len(refused.value.detail) < 200


def test_a_cursor_is_the_same_after_its_text_was_parsed() -> None:
    cursor = Cursor(12, 10**17, 10**18 - 1)
    assert Cursor.parse(str(cursor)) == cursor
