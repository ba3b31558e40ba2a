"""All texts on the console's pages can be translated: checked with a language that puts every message in brackets."""

import gettext
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils.translation import trans_real

from audit.models import ApiClient, ApiToken, AuditEntry
from inventory.models import (
    Movement,
    Product,
    ReconciliationFinding,
    ReconciliationRun,
    StockCount,
    StockCountLine,
    StockLevel,
    Store,
    Transfer,
    Warehouse,
)
from reservations.models import Reservation, ShortageIncident
from tests.factories import hold, make_client, make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

PSEUDO = "ast"
_DATA = re.compile(r"([^A-Za-z]|SKU-\d+|cart-\d+|wh-\d+|main|command)*\Z")
"""Texts that come from rows, where a list shows them as links or choices."""


class Brackets(gettext.NullTranslations):
    """A translation catalogue that puts every message in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, number: int) -> str:
        return f"⟦{one if number == 1 else many}⟧"

    def pgettext(self, context: str, message: str) -> str:
        return f"⟦{message}⟧"

    def npgettext(self, context: str, one: str, many: str, number: int) -> str:
        return self.ngettext(one, many, number)

    def language(self) -> str:
        return PSEUDO

    def to_language(self) -> str:
        return PSEUDO


class Words(HTMLParser):
    """The texts that a page shows, without those in icons and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        for name in ("placeholder", "aria-label", "title", "alt"):
            self.texts.append(given.get(name) or "")
        is_row = tag == "th" and "field-" in (given.get("class") or "")
        is_mute = (
            is_row
            or tag in {"script", "style", "td", "dd", "textarea", "option", "kbd"}
            or "material-symbols" in (given.get("class") or "")
        )
        if tag not in {"input", "img", "link", "meta", "br", "hr"}:
            self._open.append((tag, is_mute))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, text: str) -> None:
        if not any(is_mute for _, is_mute in self._open):
            self.texts.append(text)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Client]:
    """An administrator's browser, in a language that brackets every message."""
    settings.LANGUAGE_CODE = PSEUDO
    monkeypatch.setitem(trans_real._translations, PSEUDO, Brackets())  # type: ignore[attr-defined]
    with trans_real_override():
        yield browser_of(make_staff("administrator", name="0"))


def trans_real_override() -> Any:
    from django.utils import translation  # noqa: PLC0415 - the language is there once the fixture has made it

    return translation.override(PSEUDO)


def unbracketed(page: str) -> list[str]:
    """The texts of a page that were not translated."""
    words = Words()
    words.feed(page)
    left = (re.sub(r"⟦[^⟦⟧]*⟧", "", re.sub(r"⟦[^⟦⟧]*⟧", "", text)).strip() for text in words.texts)
    return [text for text in left if not _DATA.fullmatch(text)]


LISTS = [
    ApiClient,
    ApiToken,
    AuditEntry,
    Movement,
    Product,
    ReconciliationFinding,
    ReconciliationRun,
    Reservation,
    ShortageIncident,
    StockCount,
    StockLevel,
    Store,
    Transfer,
    Warehouse,
]


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)
def test_words_of_lists_are_for_translators(browser: Client, model: Any) -> None:
    make_client(name="1")
    hold((make_level(10), 1))
    page = browser.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
    assert unbracketed(page.content.decode()) == []


@pytest.mark.parametrize("model", [ApiClient, Product, Store, Warehouse], ids=lambda model: model.__name__)
def test_words_of_forms_are_for_translators(browser: Client, model: Any) -> None:
    Store.objects.update(name="0", code="0")
    page = browser.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add"))
    assert unbracketed(page.content.decode()) == []


FLOWS = [
    "movement_receive_delivery",
    "transfer_new_transfer",
    "stockcount_open_count",
    "stocklevel_import_settings",
    "stocklevel_import_changes",
    "product_import_products",
]


@pytest.mark.parametrize("name", FLOWS)
def test_words_of_flows_are_for_translators(browser: Client, name: str) -> None:
    assert unbracketed(browser.get(reverse(f"admin:inventory_{name}")).content.decode()) == []


@pytest.mark.parametrize("reorder_point", ["5", "x", ""])
def test_words_of_previews_and_of_settings_are_for_translators(browser: Client, reorder_point: str) -> None:
    level = make_level(10)
    Product.objects.update(name="0")
    rows = f"sku,warehouse,reorder_point\n{level.product.sku},wh-001,{reorder_point}"
    file = SimpleUploadedFile("file.csv", rows.encode())
    looked = browser.post(reverse("admin:inventory_stocklevel_import_settings"), {"do": "look", "file": file})
    assert looked.context["dialog"].step == {"5": "preview", "x": "faults", "": "nothing"}[reorder_point]
    assert unbracketed(looked.content.decode()) == []
    page = browser.get(reverse("admin:inventory_stocklevel_set_rows"), {"level": str(level.pk)})
    assert unbracketed(page.content.decode()) == []


def test_words_of_the_walk_and_the_end_of_a_count_are_for_translators(browser: Client) -> None:
    level = make_level(10)
    hold((level, 8))
    count = StockCount.objects.create(warehouse=level.warehouse, scope="ALL", opened_by="0", opened_at=Now())
    StockCountLine.objects.create(count=count, level=level)
    for name, counted in (("walk", None), ("post_count", 3), ("walk", 3)):
        if counted:
            StockCountLine.objects.update(counted=counted, counted_at=Now(), expected=10)
        Product.objects.update(name="0")
        page = browser.get(reverse(f"admin:inventory_stockcount_{name}", args=[count.pk]))
        assert unbracketed(page.content.decode().replace("cart-", "").replace(str(count), "")) == [], name


def test_words_of_the_start_page_and_of_refusals_are_for_translators(browser: Client) -> None:
    for path in ("/admin/", "/admin/login/", "/admin/nothing/", "/admin/password_change/"):
        assert unbracketed(browser.get(path).content.decode()) == [], path
    assert unbracketed(browser.post("/admin/logout/").content.decode()) == []


def test_words_of_a_page_of_a_level_and_of_an_account_are_for_translators(browser: Client) -> None:
    level = make_level(10)
    hold((level, 1))
    Product.objects.update(sku="0", name="0")
    page = browser.get(reverse("admin:inventory_stocklevel_change", args=[level.pk])).content.decode()
    ids = r"[0-9a-f]{8}-[0-9a-f-]{27}|cart-\w+|…\w{8}\b"
    dates = r"\b[A-Z][a-z]+\.? \d+, \d{4}|, (\d[\d:]* [ap]\.m\.|noon|midnight)"
    assert unbracketed(re.sub(f"res-|{ids}|{dates}", "", page)) == []
    page = browser.get(reverse("admin:auth_user_change", args=[User.objects.get().pk])).content.decode()
    groups = r"\b(viewer|warehouse|manager|administrator|auditor) –"
    assert unbracketed(re.sub(f"{groups}|{dates}", "", page)) == []


def test_every_shown_model_has_labels_for_translators() -> None:
    for model in admin.site._registry:
        if model._meta.app_label in {"audit", "inventory", "reservations"}:
            plain = [field.name for field in model._meta.local_fields if isinstance(field.verbose_name, str)]
            assert plain == [], model
