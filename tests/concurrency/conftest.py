"""Fixtures for tests with real commits: the books balance after each test."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.books import assert_books_balance


@pytest.fixture(autouse=True)
def _books_balance(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Check the books after each test. A test that deadlocks fails instead of hanging."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '20s'")
    yield
    if "breaks_the_books" not in request.fixturenames:
        assert_books_balance()


@pytest.fixture
def breaks_the_books() -> None:
    """Skip the check of the books, for a negative control that breaks them on purpose."""
