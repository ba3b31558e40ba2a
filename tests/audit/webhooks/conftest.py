"""Fixtures for the tests of webhooks."""

import pytest

from audit.webhooks import schedule


@pytest.fixture
def _first_delay_of_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again only after minutes: a test that looks at what a first attempt left may take longer than seconds."""
    monkeypatch.setattr(schedule, "DELAYS", (schedule.DELAYS[1], *schedule.DELAYS[1:]))
