"""Times are read from the database as psycopg reads them, and those that Python can't express as its first or last."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.django_db

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def read(text: str, kind: str = "timestamptz") -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::text::{kind}", [text])
        return cursor.fetchone()[0]


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),
    st.sampled_from((0, 1, 120_000, 999_999, 500_000)),
    st.sampled_from(("Z", "+00:30", "-12", "+14:00")),
)
@settings(max_examples=60)
def test_a_time_is_read_as_it_was_written(moment: datetime, micros: int, offset: str) -> None:
    written = f"{moment.replace(microsecond=micros).isoformat()}{offset}"
    found = read(written)
    assert found == datetime.fromisoformat(written)
    assert found.isoformat() == datetime.fromisoformat(written).astimezone(UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("infinity", LAST),
        ("-infinity", FIRST),
        ("0044-03-15 12:00:00+00 BC", FIRST),
        ("10000-01-01 00:00:00+00", LAST),
        ("99999-12-31 23:59:59.999999+00", LAST),
        ("294276-12-31 23:59:59+00", LAST),
    ],
)
def test_a_time_that_python_cannot_express_is_the_nearest_one(text: str, nearest: datetime) -> None:
    assert read(text) == nearest
