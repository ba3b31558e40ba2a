"""What tests with real processes share."""

from collections.abc import Iterator

import pytest

from tests.faults.house import House


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One for all tests of a module: each adds to it, and it balances after each."""
    house = House()
    yield house
    house.close()
