"""Browsers in which members of staff are logged in."""

import pytest
from django.test import Client

from tests.staff import browser_of, make_staff


@pytest.fixture
def administrator() -> Client:
    """The browser of ada, an administrator."""
    return browser_of(make_staff("administrator", name="ada"))


@pytest.fixture
def clerk() -> Client:
    """The browser of bob, a warehouse clerk."""
    return browser_of(make_staff("warehouse", name="bob"))


@pytest.fixture
def manager() -> Client:
    """The browser of mia, a manager."""
    return browser_of(make_staff("manager", name="mia"))
