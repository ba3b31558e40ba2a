"""Real commits, and books that balance after each test."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.books import assert_books_balance


@pytest.fixture(autouse=True)
def _books_balance(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the books balance. A test that locks itself out fails instead of hanging."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '20s'")
    yield
    if "breaks_the_books" not in request.fixturenames:
        assert_books_balance()


@pytest.fixture
def breaks_the_books() -> None:
    """For a negative control, which is to leave books that don't balance."""
