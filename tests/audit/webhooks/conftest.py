"""Fixtures for the tests of webhooks."""

import pytest

from audit.webhooks import schedule


@pytest.fixture
def _first_delay_of_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat a first attempt after five minutes: five seconds could be over before a test looks at what it left."""
    monkeypatch.setattr(schedule, "DELAYS", (schedule.DELAYS[1], *schedule.DELAYS[1:]))
