"""Every kind of page of the console has no finding of axe-core, of any impact, and a name for each field: in light and
dark colours, on a desktop and on a phone.
"""

from typing import Any, Final

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse
from playwright.sync_api import Page

from audit.models import ApiToken, IdempotencyKey, OutboxEvent
from inventory.models import AdjustmentReason, Product, ReconciliationRun, StockCount, StockLevel, Transfer
from reservations.models import Reservation, ShortageIncident
from tests.browser.pages import DESKTOP, PHONE, Open, faults_now
from tests.config.test_admin import MAKE_ONE
from tests.factories import make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

_FORMS: Final = ("auth_user", "inventory_product", "inventory_store", "inventory_warehouse", "audit_apiclient")
"""The models whose form for a new row is tried: each has fields of another kind."""
_LIKE_OTHERS: Final = {AdjustmentReason, ApiToken, Group, IdempotencyKey, OutboxEvent, ReconciliationRun}
"""The models with lists and pages of nothing but texts, like those of others."""
_ROW_PAGES: Final[dict[Any, tuple[str, ...]]] = {
    StockLevel: ("adjust", "settings", "history"),
    Product: ("recall", "label", "freeze"),
    Transfer: ("receive",),
    StockCount: ("walk",),
    Reservation: ("extend", "release"),
    ShortageIncident: ("resolve",),
}
_PAGES: Final = (
    "index",
    "find",
    "password_change",
    "inventory_movement_receive_delivery",
    "inventory_transfer_new_transfer",
    "inventory_stockcount_open_count",
    "inventory_lowstockalert_subscribe",
    "inventory_product_import_products",
    "inventory_stocklevel_import_changes",
)
_MISSING: Final = "/admin/nothing/is/here/"
_UNNAMED: Final = """() => [...document.querySelectorAll("input, select, textarea")]
    .filter(field => !["hidden", "submit", "button"].includes(field.type))
    .filter(field => field.checkVisibility() || field.closest("dialog"))
    .filter(field => ![...(field.labels || [])].some(label => label.textContent.trim()))
    .filter(field => !(field.getAttribute("aria-label") || field.getAttribute("aria-labelledby")))
    .map(field => `no label: ${field.outerHTML.slice(0, 160)}`)"""


def _name(model: Any) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def _addresses() -> list[str]:
    """One of each kind of page: lists, rows, new rows, dialogs, scan pages, imports, errors."""
    found = [reverse(f"admin:{name}") for name in _PAGES]
    found += [reverse(f"admin:{name}_add") for name in _FORMS]
    for model in (model for model in admin.site._registry if model not in _LIKE_OTHERS):
        found.append(reverse(f"admin:{_name(model)}_changelist"))
        found.append(reverse(f"admin:{_name(model)}_change", args=[model._default_manager.latest("pk").pk]))
    for model, pages in _ROW_PAGES.items():
        row = model._default_manager.latest("pk").pk
        found += [reverse(f"admin:{_name(model)}_{page}", args=[row]) for page in pages]
    return [*found, f"{reverse('admin:inventory_product_changelist')}?q=nothing", _MISSING]


def _faults(page: Page, path: str) -> list[str]:
    """The faults of a page, in light and dark colours."""
    page.emulate_media(color_scheme="light")
    page.goto(path)
    found = [*faults_now(page), *page.evaluate(_UNNAMED)]
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.documentElement.classList.add('dark')")
    return [*found, *(f"dark: {fault}" for fault in faults_now(page, "color-contrast") if fault not in found)]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_page_has_any_finding(open_page: Open, size: Any) -> None:
    login = open_page("/admin/login/", group=None, size=size)
    found = {"/admin/login/": _faults(login, "/admin/login/")}
    make_level(9, reorder_point=12, max_stock_level=200)
    for make in MAKE_ONE.values():
        make()
    page = open_page("/admin/", size=size, reduced_motion="reduce")
    # The browser logs an answer of 404 as an error of the page.
    page.route(f"**{_MISSING}", lambda route: route.fulfill(response=route.fetch(), status=200))
    # Each page is tried on one of the screens, of each pair of a list and its rows one on either: axe takes its time.
    tried = (0, 3) if size == DESKTOP else (1, 2)
    for path in (path for number, path in enumerate(_addresses()) if number % 4 in tried):
        found[path] = _faults(page, path)
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_forced_colours_show_bars_and_ticks(open_page: Open) -> None:
    make_level(9, reorder_point=12, max_stock_level=200)
    page = open_page(reverse("admin:inventory_stocklevel_changelist"), forced_colors="active")
    tick = page.locator("#result_list tbody input").first
    drawn = "e => [getComputedStyle(e).appearance, getComputedStyle(e, '::after').content]"
    for _ in range(2):  # Without and with a tick, the browser draws it.
        assert tick.evaluate(drawn) == ["auto", "none"]
        tick.check()
    colours = "e => [e, e.parentElement].map(part => getComputedStyle(part).backgroundColor)"
    bar, ground = page.locator(".stock-bar > span").first.evaluate(colours)
    assert bar != ground
