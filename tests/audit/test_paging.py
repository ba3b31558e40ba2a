"""Cursors can be decoded, also those that an older version issued."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.api.contract import PageQuery
from audit.api.paging import BY_ID, BY_MOMENT, BY_RANK, Cursor
from audit.errors import Invalid

ID = UUID("01920000-0000-7000-8000-00000000000a")
AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


@given(st.uuids())
def test_id_is_read_back(id_: UUID) -> None:
    assert BY_ID.after(PageQuery(cursor=BY_ID.of(id_))) == id_


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_moment_is_read_back_to_the_microsecond(at: datetime, id_: UUID) -> None:
    assert BY_MOMENT.after(PageQuery(cursor=BY_MOMENT.of((at, id_)))) == (at, id_)


@given(st.floats(allow_nan=False), st.uuids())
def test_share_is_read_back_to_the_last_bit(share: float, id_: UUID) -> None:
    assert BY_RANK.after(PageQuery(cursor=BY_RANK.of((share, id_)))) == (share, id_)


@pytest.mark.parametrize(
    ("codec", "cursor", "key"),
    [
        (BY_ID, "AZIAAAAAcACAAAAAAAAACg", ID),
        (BY_MOMENT, "AAZL9aHfpgABkgAAAABwAIAAAAAAAAAK", (AT, ID)),
        (BY_RANK, "P9AAAAAAAAABkgAAAABwAIAAAAAAAAAK", (0.25, ID)),
    ],
)
def test_cursor_issued_before_stays_valid(codec: Cursor[Any], cursor: str, key: Any) -> None:
    assert codec.after(PageQuery(cursor=cursor)) == key
    assert codec.of(key) == cursor


@pytest.mark.parametrize("codec", [BY_ID, BY_MOMENT, BY_RANK])
@pytest.mark.parametrize("cursor", ["", "x", "é", "AZIAAAAA", "AZIAAAAAcACAAAAAAAAACgAA", "_" * 100])
def test_what_is_no_cursor_of_a_list_is_refused(codec: Cursor[Any], cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        codec.after(PageQuery(cursor=cursor))
    assert [fault.pointer for fault in refused.value.faults] == ["?cursor"]


def test_a_blank_in_a_cursor_was_a_plus() -> None:
    with pytest.raises(Invalid, match="write %2B instead"):
        BY_ID.after(PageQuery(cursor="AZIAAAAA cACAAAAAAAAACg"))


def test_moment_that_no_calendar_has_is_refused() -> None:
    far = BY_RANK.of((1e300, ID))
    with pytest.raises(Invalid):
        BY_MOMENT.after(PageQuery(cursor=far))


def test_last_page_has_no_cursor() -> None:
    query = PageQuery(limit=2)
    assert BY_ID.page([ID, ID, ID], query, lambda id_: id_) == ([ID, ID], BY_ID.of(ID))
    assert BY_ID.page([ID, ID], query, lambda id_: id_) == ([ID, ID], None)
    assert BY_ID.page([], query, lambda id_: id_) == ([], None)
