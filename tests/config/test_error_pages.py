"""Error pages of the console, with and without its menu, and the addresses beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path, reverse

from config.urls import urlpatterns as service_routes
from tests.factories import make_level
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db

MENU = b'id="nav-sidebar"'
FAILURES: dict[str, Callable[[], Exception]] = {
    "bug": lambda: RuntimeError("a secret of the code"),
    "away": lambda: OperationalError("the server closed the connection"),
    "missing": Http404,
    "denied": PermissionDenied,
    "suspicious": lambda: SuspiciousOperation("a secret of the code"),
}


def _fail(request: HttpRequest, kind: str) -> HttpResponse:
    raise FAILURES[kind]()


urlpatterns = [path("admin/fails/<str:kind>/", _fail), path("fails/<str:kind>/", _fail), *service_routes]
handler400, handler404, handler500 = (
    f"config.problems.{name}" for name in ("bad_request", "not_found", "server_error")
)


@pytest.fixture
def clerk() -> Client:
    """A logged-in member of staff, whose client shows errors as a browser would."""
    client = browser_of(make_staff("warehouse", "wh-001"))
    client.raise_request_exception = False
    return client


CASES = (
    ("/admin/nothing/", 404, True),
    ("/nothing", 404, True),
    ("/admin/inventory/product/x/change/", 404, True),
    ("/admin/fails/missing/", 404, True),
    ("/admin/fails/denied/", 403, True),
    ("/admin/auth/group/", 403, True),
    ("/admin/fails/suspicious/", 400, True),
    ("/admin/fails/bug/", 500, True),
    ("/fails/bug/", 500, True),
    ("/admin/fails/away/", 500, False),
)


@pytest.mark.parametrize("debug", [False, True], ids=["production", "demo"])
@override_settings(ROOT_URLCONF=__name__)
def test_error_pages_keep_the_menu_and_show_no_code(clerk: Client, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    for address, status, has_menu in CASES:
        answer = clerk.get(address)
        assert (address, answer.status_code, MENU in answer.content) == (address, status, has_menu)
        assert reverse("admin:index").encode() in answer.content
        for word in (b"Traceback", b"secret of the code", b"DEBUG", b"URLconf"):
            assert word not in answer.content, address


@override_settings(ROOT_URLCONF=__name__)
def test_error_page_does_without_a_database(clerk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = clerk.get("/admin/fails/bug/")
    assert answer.status_code == 500
    assert b"console-plain" in answer.content
    assert MENU not in answer.content


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize("address", ["/nothing", "/admin/fails/bug/", "/admin/fails/missing/"])
def test_strangers_see_no_menu(address: str) -> None:
    answer = Client(raise_request_exception=False).get(address)
    assert answer.status_code in {404, 500}
    assert b"console-plain" in answer.content
    assert MENU not in answer.content


def test_form_without_a_token_keeps_the_menu() -> None:
    user = make_staff("warehouse")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    answer = client.post(reverse("admin:password_change"))
    assert answer.status_code == 403
    assert b"This form is too old" in answer.content
    assert MENU in answer.content


def test_start_and_unknown_addresses_lead_somewhere(clerk: Client) -> None:
    assert clerk.get("/admin").headers["Location"] == reverse("admin:index")
    assert clerk.get("/favicon.ico").headers["Location"].endswith("favicon.svg")
    assert Client(enforce_csrf_checks=True).post("/nothing").status_code == 404


def test_start_leads_to_the_documentation(clerk: Client, settings: Any) -> None:
    for client, accept in ((clerk, "text/html,*/*;q=0.8"), (Client(), "text/html,*/*;q=0.8"), (Client(), "*/*")):
        answer = client.get("/", follow=True, headers={"Accept": accept})
        assert (answer.redirect_chain, answer.status_code) == ([("/api/docs/", 302)], 200)
        assert b"swagger" in answer.content
        assert b'href="/admin/"' in answer.content
    answer = Client().get("/", follow=True, headers={"Accept": "application/json"})
    assert (answer.redirect_chain, answer.status_code) == ([("/api/schema/", 302)], 200)
    assert answer.content.startswith(b"openapi:")
    assert Client(enforce_csrf_checks=True).post("/").headers["Location"] == "/api/docs/"
    for name, value in (("API_DOCS", False), ("WEB_SERVES", "console")):
        with override_settings(**{name: value}):
            assert Client().get("/").headers["Location"] == reverse("admin:index")


def test_redirect_in_a_dialog_says_where_it_leads() -> None:
    level, clerk = make_level(5), browser_of(make_staff("manager"))
    address = reverse("admin:inventory_stocklevel_settings", args=[level.pk])
    plain = clerk.get(address)
    answer = clerk.get(address, headers={"X-Console-Dialog": "1"})
    assert (plain.status_code, answer.status_code) == (302, 204)
    assert answer.headers["X-Location"] == plain.headers["Location"]
    assert "Location" not in answer.headers


def test_console_can_be_installed(clerk: Client) -> None:
    found = finders.find("console/manifest.webmanifest")
    assert isinstance(found, str)
    manifest = json.loads(Path(found).read_text())
    assert manifest["start_url"] == manifest["scope"] == reverse("admin:index")
    for icon in manifest["icons"]:
        width, height = icon["sizes"].split("x")
        content = Path(found).with_name(icon["src"]).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (int(width), int(height))
    for page in (clerk.get(reverse("admin:index")), Client().get(reverse("admin:login"))):
        assert b'rel="manifest"' in page.content
