"""A session ends some hours after its login, whatever is done in it."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

pytestmark = pytest.mark.django_db

PAGE = "/admin/"


def begin(browser: Client, hours_ago: float) -> None:
    """Move the beginning of the browser's session into the past."""
    assert browser.get(PAGE).status_code == 200
    session = browser.session
    session["began_at"] -= hours_ago * 3600
    session.save()


def test_session_ends_a_day_after_its_login(manager: Client) -> None:
    begin(manager, 23.9)
    assert manager.get(PAGE).status_code == 200
    begin(manager, 0.2)
    ended = manager.session.session_key
    answer = manager.get(PAGE)
    assert answer.status_code == 302
    assert "/admin/login/" in answer.headers["Location"]
    assert not manager.session.exists(ended)


def test_new_login_begins_a_new_session(manager: Client) -> None:
    begin(manager, 25)
    assert manager.get(PAGE).status_code == 302
    manager.force_login(get_user_model().objects.get(username="mia"))
    assert manager.get(PAGE).status_code == 200


def test_stranger_gets_no_session(client: Client) -> None:
    client.get("/admin/login/")
    assert "sessionid" not in client.cookies


def test_page_asks_who_is_logged_in_and_gets_a_token_for_its_forms(manager: Client, client: Client) -> None:
    answer = manager.get("/admin/session/")
    assert answer.json()["account"] == str(get_user_model().objects.get(username="mia").pk)
    assert answer.headers["Cache-Control"] == "private, no-store"
    manager.handler.enforce_csrf_checks = True
    logged_out = manager.post("/admin/logout/", {"csrfmiddlewaretoken": answer.json()["token"]})
    assert logged_out.status_code == 200
    stranger = client.get("/admin/session/").json()
    assert stranger["account"] == ""
    assert stranger["token"]


def test_somebody_who_may_not_use_the_console_has_no_session_in_it(client: Client) -> None:
    client.force_login(get_user_model().objects.create_user("guest"))
    assert client.get("/admin/session/").json()["account"] == ""
