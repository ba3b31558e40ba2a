"""The long poll of the console's lists: whether anything was published, and nothing of what."""

from typing import Any

import pytest

from audit import feed
from tests.audit.feed.writers import write
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


def asked(browser: Any, after: str = "") -> Any:
    response = browser.get("/admin/news/", {"after": after})
    assert response.status_code == 200
    return response.json()


def test_it_says_that_something_is_new_once(settings: Any) -> None:
    feed.tick()
    browser = browser_of(make_staff("viewer"))
    start = asked(browser)
    assert not start["isNew"]
    assert asked(browser, start["cursor"]) == start
    write("a", "b")
    news = asked(browser, start["cursor"])
    assert (news["isNew"], news.keys()) == (True, {"cursor", "isNew"})
    assert not asked(browser, news["cursor"])["isNew"]


@pytest.mark.parametrize("after", ["", "x", "9.9.9", "1.2.3.4", "é" * 300])
def test_a_cursor_that_is_none_counts_as_one_of_now(after: str) -> None:
    write("a")
    feed.tick()
    assert asked(browser_of(make_staff("viewer")), after) == {"cursor": str(feed.cursor_now()), "isNew": False}


def test_nobody_else_may_ask(client: Any) -> None:
    assert client.get("/admin/news/").status_code == 302
