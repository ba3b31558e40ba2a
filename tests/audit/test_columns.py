"""Columns of parameters reach PostgreSQL unchanged."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from audit.db import columns

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def read_back(column: Any, kind: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT v FROM unnest(%s::{kind}[]) WITH ORDINALITY AS t (v, n) ORDER BY n", [column])
        return [row[0] for row in cursor.fetchall()]


class TestColumns(TestCase):
    """For any values, none or many."""

    @given(st.lists(st.none() | st.uuids()))
    @settings(max_examples=40)
    def test_uuids_come_back(self, values: list[UUID | None]) -> None:
        assert read_back(columns.uuids(values), "uuid") == values

    @given(st.lists(st.none() | TEXT))
    @settings(max_examples=40)
    def test_texts_come_back(self, values: list[str | None]) -> None:
        assert read_back(columns.texts(values), "text") == values

    @given(st.none() | st.uuids(), st.none() | TEXT, st.integers(1, 4))
    @settings(max_examples=20)
    def test_the_same_value_in_each_row_comes_back(self, identifier: UUID | None, text: str | None, rows: int) -> None:
        assert read_back(columns.uuids([identifier] * rows), "uuid") == [identifier] * rows
        assert read_back(columns.texts([text] * rows), "text") == [text] * rows

    @given(st.lists(st.integers(-(2**31), 2**31 - 1)))
    @settings(max_examples=40)
    def test_integers_come_back(self, values: list[int]) -> None:
        assert read_back(columns.ints(values), "int") == values

    @given(st.lists(st.booleans()))
    @settings(max_examples=20)
    def test_booleans_come_back(self, values: list[bool]) -> None:
        assert read_back(columns.bools(values), "bool") == values

    @given(st.lists(st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))))
    @settings(max_examples=40)
    def test_times_come_back_to_the_microsecond(self, values: list[datetime | None]) -> None:
        assert read_back(columns.times(values), "timestamptz") == values

    @given(st.lists(st.none() | st.decimals(-(10**9), 10**9, places=2)))
    @settings(max_examples=40)
    def test_decimals_come_back(self, values: list[Decimal | None]) -> None:
        assert read_back(columns.decimals(values), "text[]::numeric") == values

    @given(st.lists(st.binary()))
    @settings(max_examples=40)
    def test_byte_strings_come_back(self, values: list[bytes]) -> None:
        assert [bytes(value) for value in read_back(columns.blobs(values), "bytea")] == values


@pytest.mark.django_db
def test_documents_can_be_cast_to_jsonb() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v::jsonb ->> 'name', jsonb_typeof(v::jsonb) FROM unnest(%s::text[]) AS t (v)",
            [columns.documents([b'{"name":"\xc3\xa9"}', b"[1]"])],
        )
        assert cursor.fetchall() == [("é", "object"), (None, "array")]


def test_integers_of_more_than_32_bits_are_refused() -> None:
    with pytest.raises(OverflowError):
        columns.ints([2**31])


@pytest.mark.django_db
def test_a_time_of_another_zone_is_the_same_moment() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert read_back(columns.times([noon]), "timestamptz") == [noon]
