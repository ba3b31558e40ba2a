"""Contents of the console's pages: titles of rows, badges of states, names of clients, hints of empty lists."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.base import ConsoleAdmin
from audit.console.dialogs import Dialog
from audit.console.service_forms import ServiceAdmin
from audit.display import shown_id
from audit.models import AuditEntry, IdempotencyKey, OutboxEvent
from inventory.models import LowStockAlert, Movement, StockCount, StockDocument, Transfer
from inventory.services.low_stock import alerts as low_stock
from reservations.models import Reservation, ReservationItem, ShortageIncident
from tests.config.test_admin import MAKE_ONE
from tests.factories import hold, make_client, make_level, recorded
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

OURS = (LowStockAlert, Movement, StockCount, Transfer, Reservation, ShortageIncident)


@pytest.fixture
def browser() -> Client:
    """An administrator's browser."""
    return browser_of(make_staff("administrator", name="ada"))


def listing(model: type[Model], query: str = "") -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + query


def page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def shown(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def name_of(page: str) -> str:
    """The page's heading, without the breadcrumb."""
    heading = re.search(r"<h1.*?</h1>", page, re.DOTALL)
    assert heading is not None
    parts = re.findall(r"<(?:a|span)[^>]*truncate[^>]*>(.*?)</(?:a|span)", heading[0], re.DOTALL)
    return " ".join(strip_tags(parts[-1]).split())


def made(model: Any) -> Any:
    MAKE_ONE[model]()
    return model._default_manager.latest("pk")


def badges(page: str) -> list[str]:
    """The texts of the badges on a page."""
    found = re.findall(r'<span class="inline-block font-semibold rounded-default.*?>(.*?)</span>', page, re.DOTALL)
    return [" ".join(text.split()) for text in found]


# ---------------------------------------------------------------------------------------------------------------- names


def test_alert_is_called_by_its_product_its_place_and_how_low_it_is(browser: Client) -> None:
    level = make_level(1, reorder_point=5, max_stock_level=20)
    low_stock.raise_missed()
    page = shown(browser, page_of(LowStockAlert.objects.get()))
    assert name_of(page) == f"{level.product.sku} in wh-001: critical"
    assert badges(page) == ["Critical", "New"]
    assert "CRITICAL" not in page


def test_movement_is_called_by_its_product_its_place_and_what_moved(browser: Client) -> None:
    level = make_level(7)
    page = shown(browser, page_of(Movement.objects.get()))
    assert name_of(page) == f"{level.product.sku} in wh-001: Receipt +7"


UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@pytest.mark.parametrize("model", MAKE_ONE, ids=lambda model: model.__name__)
def test_no_page_has_a_uuid_as_its_title(browser: Client, model: Any) -> None:
    page = shown(browser_of(make_staff()), page_of(made(model)))
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert title is not None
    assert not UUIDS.search(f"{name_of(page)} {title[1]}")


@pytest.mark.parametrize(
    ("model", "prefix"),
    [(Transfer, "TR-"), (StockCount, "CO-"), (StockDocument, "RC-"), (ShortageIncident, "…"), (Reservation, "…")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_titles_are_short_numbers_of_documents_and_else_the_end_of_the_id(
    browser: Client, model: Any, prefix: str
) -> None:
    row = made(model)
    name = name_of(shown(browser, page_of(row)))
    assert name == (f"…{str(row.pk)[-8:]}" if prefix == "…" else f"{prefix}{row.number}")
    if prefix == "…":
        return
    for typed in (name, name.lower()):
        assert list(browser.get(listing(model), {"q": typed}).context["cl"].result_list) == [row]
    assert not browser.get(listing(model), {"q": f"{prefix}{row.number + 1}"}).context["cl"].result_list


def test_key_that_is_an_id_is_called_by_its_end(browser: Client) -> None:
    key = made(IdempotencyKey)
    IdempotencyKey.objects.filter(pk=key.pk).update(key=f"dialog-{key.pk}")
    assert name_of(shown(browser, page_of(key))) == f"dialog-…{str(key.pk)[-8:]}"


def test_entry_of_the_trail_is_called_in_words(browser: Client) -> None:
    hold((make_level(10), 1))
    entry = recorded("inventory_reservation_created")[-1]
    page = shown(browser, page_of(entry))
    assert name_of(page) == "Reservation made by tests"
    assert "inventory_reservation_created" not in strip_tags(page)


def test_action_is_found_by_its_name_and_by_its_words(browser: Client) -> None:
    hold((make_level(10), 1))
    for typed in ("Reservation made", "reservation created", "inventory_reservation_created"):
        found = browser.get(listing(AuditEntry), {"q": typed}).context["cl"].result_list
        assert {entry.action for entry in found} == {"inventory_reservation_created"}, typed


# -------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("model", "state"),
    [(Transfer, "On the way"), (ShortageIncident, "Open"), (StockCount, "Open")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_state_is_a_badge_in_the_list_and_on_the_page(browser: Client, model: Any, state: str) -> None:
    row = made(model)
    assert state in badges(shown(browser, listing(model)))
    assert state in badges(shown(browser, page_of(row)))


def test_transfers_are_filtered_by_the_states_that_their_rows_show(browser: Client) -> None:
    made(Transfer)
    page = shown(browser, listing(Transfer, "?status__exact=IN_TRANSIT"))
    assert "On the way" in badges(page)
    assert "Partly received" in page
    assert not browser.get(listing(Transfer, "?status__exact=PENDING")).context["cl"].result_list


def test_client_is_called_by_its_name_wherever_it_is_known(browser: Client) -> None:
    client = make_client(name="corner-shop")
    actor = Actor("corner-shop", client.pk, "r-1", "api")
    held = hold((make_level(10), 1), actor=actor)
    key = IdempotencyKey(client_id=client.pk, key="k-1", fingerprint=bytes(32), status=201, body=b"{}")
    key.save()
    entry = recorded("inventory_reservation_created")[-1]
    for address in (
        page_of(Reservation.objects.get(pk=held.id)),
        page_of(entry),
        page_of(key),
        listing(IdempotencyKey),
    ):
        page = shown(browser, address)
        assert "corner-shop" in strip_tags(page), address
        assert str(client.pk) not in strip_tags(page), address


def test_keys_of_the_console_are_not_a_clients(browser: Client) -> None:
    IdempotencyKey(client_id=uuid7(), key="dialog-1", fingerprint=bytes(32), status=200, body=b"{}").save()
    unknown = IdempotencyKey(client_id=uuid7(), key="k-2", fingerprint=bytes(32), status=200, body=b"{}")
    unknown.save()
    page = shown(browser, listing(IdempotencyKey))
    assert "Console" in page
    assert shown_id(str(unknown.client_id)) in page


@pytest.mark.parametrize(("pinned", "words"), [(True, "the shop"), (False, "the store's order")])
def test_page_shows_whether_a_warehouse_was_chosen_or_sourced(browser: Client, pinned: bool, words: str) -> None:
    held = hold((make_level(10), 1))
    ReservationItem.objects.update(pinned=pinned)
    page = shown(browser, page_of(Reservation.objects.get(pk=held.id)))
    assert words in page
    assert "close_small" not in page


def test_page_of_a_count_shows_only_the_fields_of_its_own_end(browser: Client) -> None:
    count = made(StockCount)
    assert "Posted by" not in shown(browser, page_of(count))
    StockCount.objects.update(status="CANCELLED", cancelled_by="bob", cancelled_at=count.opened_at)
    page = shown(browser, page_of(count))
    assert "Cancelled by" in page
    assert "Posted by" not in page


def test_incident_links_to_its_cause_and_its_request_to_the_trail_if_permitted(browser: Client) -> None:
    incident = made(ShortageIncident)
    ShortageIncident.objects.update(cause_type="ADJUSTMENT")
    page = shown(browser, page_of(incident))
    assert f"?q=adj-{incident.cause_id}" in page
    assert f"auditentry/?q={incident.request_id}" in page
    clerk = browser_of(make_staff("warehouse"))
    page = shown(clerk, page_of(incident))
    assert incident.request_id in strip_tags(page)
    assert f"auditentry/?q={incident.request_id}" not in page


# --------------------------------------------------------------------------------------------------------- empty lists


@pytest.mark.parametrize("model", [*OURS, AuditEntry, IdempotencyKey, OutboxEvent], ids=lambda model: model.__name__)
def test_empty_list_says_what_to_do(browser: Client, model: Any) -> None:
    model_admin: Any = admin.site._registry[model]
    assert model_admin.empty_hint != ConsoleAdmin.empty_hint
    assert str(model_admin.empty_hint) in shown(browser, listing(model))


@pytest.mark.parametrize(
    ("model", "query", "words"),
    [
        (ShortageIncident, "?status__exact=OPEN", "no customer has to be notified"),
        (Movement, "?type__exact=RECEIPT", "press Receive a delivery"),
    ],
    ids=["incidents", "receiving"],
)
def test_list_that_the_sidebar_narrows_is_not_taken_for_a_search(
    browser: Client, model: Any, query: str, words: str
) -> None:
    page = shown(browser, listing(model, query))
    assert words in page
    assert "Clear filters" not in page
    assert "Clear filters" in shown(browser, f"{listing(model, query)}&q=nothing-like-it")


# ------------------------------------------------------------------------------------------------------------ the frame


def test_sidebar_shows_where_one_is(browser: Client) -> None:
    incident = made(ShortageIncident)
    movement = Movement.objects.latest("pk")
    where = {
        listing(Movement): "Movements",
        page_of(movement): "Movements",
        listing(Movement, "?type__exact=SHIPMENT"): "Movements",
        listing(Movement, "?type__exact=RECEIPT"): "Receiving",
        listing(Movement, "?q=a&type__exact=RECEIPT"): "Receiving",
        reverse("admin:inventory_movement_receive_delivery"): "Receiving",
        listing(ShortageIncident): "Incidents",
        listing(ShortageIncident, "?status__exact=OPEN"): "Incidents",
        page_of(incident): "Incidents",
        listing(Transfer): "Transfers",
    }
    for address, name in where.items():
        groups = browser.get(address).context["sidebar_navigation"]
        active = [str(item["title"]) for group in groups for item in group["items"] if item["active"]]
        assert active == [name], address


def test_what_a_phone_hides_is_behind_a_button_with_a_name(browser: Client) -> None:
    page = shown(browser, listing(Transfer))
    (button,) = re.findall(r"<button[^>]*console-more[^>]*>", page)
    assert 'aria-label="Page menu"' in button
    assert 'aria-controls="console-page-menu"' in button


def test_way_back_has_a_name(browser: Client) -> None:
    (link,) = re.findall(r"<a[^>]*console-back[^>]*>", shown(browser, page_of(made(Transfer))))
    assert 'aria-label="Back"' in link
    assert f'href="{listing(Transfer)}' in link


def test_dialog_that_is_a_page_leads_back_to_where_it_was_opened(browser: Client) -> None:
    transfer = made(Transfer)
    address = reverse("admin:inventory_transfer_cancel", args=[transfer.pk])
    (link,) = re.findall(r"<a[^>]*console-back[^>]*>", shown(browser, address))
    assert f'href="{page_of(transfer)}"' in link


def test_pages_name_the_time_zone_of_their_times(browser: Client) -> None:
    browser.cookies["console_zone"] = "Europe/Vienna"
    assert "Times are in Europe/Vienna." in shown(browser, listing(Transfer))


def test_what_leaves_something_to_its_subclasses_can_not_be_used_without(browser: Client) -> None:
    class Unfinished(Dialog[None]):
        """A dialog without ``perform``."""

    with pytest.raises(TypeError, match="abstract"):
        ServiceAdmin(Transfer, admin.site)
    with pytest.raises(TypeError, match="abstract"):
        Unfinished(admin.site._registry[Transfer], browser.get("/admin/").wsgi_request)  # type: ignore[abstract]
