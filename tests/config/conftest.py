"""Browsers in which members of staff are logged in, and Prometheus' tool."""

import os
import shutil

import pytest
from django.template.backends.django import Template
from django.test import Client

from config import console, error_pages
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


@pytest.fixture
def root() -> Client:
    """The browser of root, who may do everything."""
    return browser_of(make_staff(name="root"))


@pytest.fixture
def without_menu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the menu out of all pages. It is the same on each of them, and most of the work of a refused request."""
    monkeypatch.setattr(error_pages, "_menu", lambda _request: {})
    monkeypatch.setattr(console, "navigation", lambda _request: [])


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer with empty pages. For tests of permissions only, which are checked before a page is rendered."""
    monkeypatch.setattr(Template, "render", lambda *_: "")


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of the tool that comes with Prometheus."""
    found = shutil.which("promtool")
    if found is None:
        without = pytest.fail if "CI_RUN" in os.environ else pytest.skip
        without("promtool is not installed: deploy/prometheus and deploy/grafana are not validated")
    return found
