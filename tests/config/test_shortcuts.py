"""Keyboard shortcuts, the buttons of phones, and pages that refresh themselves."""

import re

import pytest
from django.urls import reverse

from inventory.models import StockLevel
from tests.factories import make_level
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db

LIVE = {"X-Console-Live": "1"}


@pytest.mark.parametrize("group", ["warehouse", "manager", "auditor", "administrator"])
def test_each_shortcut_and_button_leads_to_a_page_that_the_user_may_open(group: str) -> None:
    make_level(1)
    browser = browser_of(make_staff(group))
    content = browser.get(reverse("admin:index")).content.decode()
    keys = re.findall(r'data-keys="([^"]+)"', content)
    assert len(set(keys)) == len(keys)
    assert {"?", "/", "f", "g s"} <= set(keys)
    quick = re.search(r'<nav class="console-quick".*?</nav>', content, re.DOTALL)
    assert quick is not None
    addresses = [*re.findall(r'data-address="([^"]+)"', content), *re.findall(r'href="([^"]+)"', quick.group())]
    # Receiving leads on to the draft of the only warehouse.
    assert {address: browser.get(address, follow=True).status_code for address in addresses} == dict.fromkeys(
        addresses, 200
    )


def test_clerk_has_four_buttons_on_a_phone() -> None:
    content = browser_of(make_staff("warehouse", "wh-001")).get(reverse("admin:index")).content.decode()
    quick = re.search(r'<nav class="console-quick".*?</nav>', content, re.DOTALL)
    assert quick is not None
    assert re.findall(r"</span>(\w+)</a>", quick.group()) == ["Receive", "Move", "Count", "Find"]


def test_page_that_is_refreshed_is_sent_again_only_if_it_has_changed() -> None:
    level = make_level(10)
    browser = browser_of(make_staff("manager"))
    address = reverse("admin:inventory_stocklevel_changelist")
    first = browser.get(address, headers=LIVE)
    known = {**LIVE, "If-None-Match": first.headers["ETag"]}
    assert (first.status_code, browser.get(address, headers=known).status_code) == (200, 304)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=7)
    changed = browser.get(address, headers=known)
    assert (changed.status_code, changed.headers["ETag"] == first.headers["ETag"]) == (200, False)
    assert "ETag" not in browser.get(address).headers


def test_refreshing_leaves_messages_for_the_page_that_the_user_opens() -> None:
    level = make_level(10)
    browser = browser_of(make_staff("manager"))
    address = reverse("admin:inventory_stocklevel_changelist")
    browser.post(address, {"action": "set_chosen", "index": "0"})
    assert b"Items must be selected" not in browser.get(address, headers=LIVE).content
    assert b"Items must be selected" in browser.get(address).content
    assert level.on_hand == 10
