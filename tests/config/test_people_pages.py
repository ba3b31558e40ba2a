"""Pages of accounts and groups in the console."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from tests.staff import PASSWORD, browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

FRAMEWORK = (
    "Designates",
    "Required. 150",
    "Raw passwords",
    "Password-based",
    "log into this admin",
    "more user options",
)


def at(name: str, *arguments: Any) -> str:
    return reverse(f"admin:auth_user_{name}", args=arguments)


def test_pages_of_an_account_use_the_words_of_the_console() -> None:
    clerk, root = make_staff("warehouse", "wh-001", name="carl"), make_staff(name="root")
    administrator = browser_of(make_staff("administrator", name="ada"))
    pages = [(administrator, at("add"))]
    for browser in (administrator, browser_of(root)):
        pages += [(browser, at("change", user.pk)) for user in (clerk, root)]
    for browser, path in pages:
        page = browser.get(path).content.decode()
        assert [words for words in FRAMEWORK if words in page] == [], path
    page = administrator.get(at("change", clerk.pk)).content.decode()
    assert "Switch it off for who leaves." in page
    assert at("password_change", clerk.pk) in page


def test_account_of_a_superuser_is_for_an_administrator_to_read_alone(administrator: Client) -> None:
    root = make_staff(name="root")
    page = administrator.get(at("change", root.pk)).content.decode()
    assert "root" in page
    assert 'name="_save"' not in page
    assert at("password_change", root.pk) not in page


def test_new_account_needs_a_password(administrator: Client) -> None:
    sent = {"username": "carl", "usable_password": "false"}
    assert administrator.post(at("add"), sent).status_code == 200
    assert not User.objects.filter(username="carl").exists()
    answer = administrator.post(at("add"), {**sent, "password1": PASSWORD, "password2": PASSWORD})
    made = User.objects.get(username="carl")
    assert answer.headers["Location"] == at("change", made.pk)
    assert made.check_password(PASSWORD)


def test_saving_an_account_keeps_its_password(administrator: Client) -> None:
    clerk = make_staff("warehouse", name="carl", password=PASSWORD)
    sent = {"username": "carl", "is_active": "on", "is_staff": "on", "first_name": "Carl"}
    sent |= {"groups": [clerk.groups.get().pk]}
    assert administrator.post(at("change", clerk.pk), sent).status_code == 302
    clerk.refresh_from_db()
    assert (clerk.first_name, clerk.check_password(PASSWORD)) == ("Carl", True)


def test_page_of_a_group_lists_its_permissions(administrator: Client) -> None:
    group = Group.objects.get(name="warehouse")
    page = administrator.get(reverse("admin:auth_group_change", args=[group.pk])).content.decode()
    assert "receive stock" in page
    assert "inventory |" not in page
