"""Fixtures for tests with real processes."""

from collections.abc import Iterator

import pytest

from tests.faults.house import House


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A service for all tests of a module. Each test adds to it, and its books balance after each."""
    house = House()
    yield house
    house.close()
