"""The dashboard's card about events and background processes."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.urls import reverse

from audit import feed, heartbeats
from config.dashboard.service import _PROCESSES
from config.health import facts
from tests.audit.feed.writers import write
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
TITLE = "Events and background processes"


def card(group: str, *warehouses: str) -> dict[str, tuple[str, str]]:
    """The figures of the card by label, each with its tone; empty if the card isn't shown."""
    cache.clear()
    browser = browser_of(make_staff(group, *warehouses, name=f"{group}{len(warehouses)}"))
    page = browser.get(reverse("admin:index")).content.decode()
    if TITLE not in page:
        return {}
    part = page.split(TITLE)[1].split("</section>")[0]
    found = re.findall(r"<span>([^<]+)</span><strong class=\"([^\"]*)\">([^<]+)</strong>", part)
    return {label: (shown, tone) for label, tone, shown in found}


def test_administrators_see_what_runs_and_what_is_behind() -> None:
    for name in heartbeats.expected():
        heartbeats.beat(name)
    feed.tick()
    found = card("administrator")
    assert found["Feed"] == ("up to date", "")
    assert found["Webhooks"] == ("up to date", "")
    assert found["Failed deliveries"] == ("0", "")
    for label in _PROCESSES.values():
        assert found[str(label)] == ("running", "")


@pytest.mark.django_db(transaction=True)  # The event is committed.
def test_what_has_stopped_or_is_late_is_marked() -> None:
    feed.tick()
    write("a")
    heartbeats.beat(heartbeats.RELAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_outboxevent SET created_at = created_at - interval '10 minutes'")
        cursor.execute("UPDATE audit_heartbeat SET at = at - interval '10 minutes'")
    found = card("administrator")
    assert found["Feed"] == ("10 min behind", "is-bad")
    assert found["Relay"] == ("stopped 10 min ago", "is-bad")
    assert found["Scheduler"] == ("never seen", "is-bad")


@pytest.mark.parametrize(("group", "warehouses"), [("warehouse", ("wh-001",)), ("manager", ())])
def test_others_do_not_see_it(group: str, warehouses: tuple[str, ...]) -> None:
    assert card(group, *warehouses) == {}


def test_a_database_that_is_too_slow_for_it_costs_the_card_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> Any:
        raise OperationalError

    monkeypatch.setattr(facts, "read", read)
    assert card("administrator") == {"Could not be read": ("–", "")}
