"""Dialogs of the console carry what they replace: none overwrites somebody else's change."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.console.dialogs import Dialog, SharedDialog
from audit.console.edit_dialogs import EditDialog
from audit.console.imports.page import ImportPage
from inventory.admin.stock.dialogs import StockDialog
from inventory.admin.stock.row_dialogs import RowsDialog
from inventory.admin.stock.scanning import ScanPage
from inventory.models import (
    AlertSubscription,
    LowStockAlert,
    Product,
    StockLevel,
    Transfer,
    TransferLine,
)
from inventory.services.catalogue import freezing
from inventory.services.catalogue.freezing import freeze
from inventory.services.transfers.commands import (
    Arrived,
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    draft_transfer,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations.admin.holds.dialogs import HoldsDialog
from tests.config.stale_pages import text_of
from tests.factories import ACTOR, make_level, make_product, make_warehouse
from tests.forms import filled_in, form_on

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# ------------------------------------------------------------------------------------------------------------- dialogs

ADDS: dict[str, str] = {
    "TakeOverDialog": "takes a draft over that an account left behind, once",
    "SendBackDialog": "sends back what a transfer brought, once",
    "SendDialog": "sends a draft as it was seen: its version is compared",
    "AcknowledgeDialog": "only the first takes an alert: a later one changes nothing",
    "BeginPage": "begins a draft",
    "DiscardDialog": "deletes the user's own draft",
    "IssueTokenDialog": "adds a token",
    "NewTransferPage": "begins a draft",
    "OpenCountPage": "opens a count",
    "ReverseDialog": "reverses a document, once",
    "RevokeTokenDialog": "revokes for good, once",
    "SendTestDialog": "sends a test event",
    "PauseDialog": "asks for a state, whatever it was before",
    "ResumeDialog": "asks for a state, whatever it was before",
    "ReplayDialog": "receives an event again; one that was applied changes nothing",
    "ResendDialog": "adds events to be sent again",
    "ReplaceSecretDialog": "adds a secret beside the ones that there are",
    "DeleteDialog": "deletes for good, once",
}
"""Dialogs that replace nothing, beside those that move stock or end a document, by name, with the reason."""


def subclasses_of(kind: type) -> set[type]:
    found = {one for each in kind.__subclasses__() for one in (each, *subclasses_of(each))}
    return {each for each in found if not getattr(each, "__abstractmethods__", None)}


def test_every_dialog_carries_what_it_replaces_or_replaces_nothing() -> None:
    moves_stock = (
        subclasses_of(StockDialog) | subclasses_of(RowsDialog) | subclasses_of(ImportPage) | subclasses_of(ScanPage)
    )
    moves_stock.add(ImportPage)
    checked = subclasses_of(EditDialog) | subclasses_of(SharedDialog) | moves_stock | subclasses_of(HoldsDialog)
    others = {kind.__name__ for kind in subclasses_of(Dialog) - checked if not kind.__name__.startswith("_")}
    assert others == set(ADDS)


def edited(kind: str) -> tuple[str, dict[str, Any], Callable[[], Any], Callable[[], Any]]:
    """The address of a dialog, what is sent, somebody else's change, and the present value."""
    level = make_level(10)
    product = level.product
    if kind == "settings":
        url = f"{reverse('admin:inventory_stocklevel_set_rows')}?level={level.pk}"
        rows = type(level).objects.filter(pk=level.pk)
        sent = {"level": str(level.pk), "reorder_point": "7"}
        return url, sent, lambda: rows.update(reorder_point=3), lambda: rows.get().reorder_point
    if kind == "snooze":
        alert = LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
        alerts = LowStockAlert.objects.filter(pk=alert.pk)
        url, sent = reverse("admin:inventory_lowstockalert_snooze", args=[alert.pk]), {"until": "2090-01-01T08:00"}
        until = datetime(2080, 1, 1, tzinfo=UTC)
        return url, sent, lambda: alerts.update(snoozed_until=until), lambda: alerts.get().snoozed_until
    if kind == "subscribe":
        user = User.objects.get(username="root")
        User.objects.filter(pk=user.pk).update(email="root@a.test")
        mine = AlertSubscription.objects.filter(user=user)
        url, sent = reverse("admin:inventory_lowstockalert_subscribe"), {"warehouses": ["wh-002"]}

        def also_here() -> None:
            AlertSubscription.objects.create(user=user, email="root@a.test", warehouse=level.warehouse)

        return url, sent, also_here, lambda: sorted(mine.values_list("warehouse__code", flat=True))
    if kind in ("redirect", "cancel"):
        return edited_transfer(kind, level)
    if kind == "unfreeze":
        freeze(ACTOR, freezing.product(product.pk), reason="first")
    rows = Product.objects.filter(pk=product.pk)
    url, sent = reverse(f"admin:inventory_product_{kind}", args=[product.pk]), {"reason": "mine", "until": ""}
    return (
        url,
        sent,
        lambda: freeze(ACTOR, freezing.product(product.pk), reason="theirs"),
        lambda: rows.get().freeze_reason,
    )


def edited_transfer(kind: str, level: StockLevel) -> tuple[str, dict[str, Any], Callable[[], Any], Callable[[], Any]]:
    """What ``edited`` returns, for a transfer that is redirected or cancelled."""
    made = send_off(level)
    moving = Transfer.objects.filter(pk=made)
    url = reverse(f"admin:inventory_transfer_{kind}", args=[made])
    if kind == "cancel":
        arrived = ReceiveRequest(ACTOR, made, (Arrived(level.product_id, None, 1),))
        return url, {"reason": "mine"}, lambda: receive_transfer(arrived), lambda: moving.get().status
    make_warehouse("wh-003")
    theirs = make_warehouse("wh-004")
    sent = {"to_warehouse": "wh-003", "reason": ""}
    return url, sent, lambda: moving.update(to_warehouse=theirs), lambda: moving.get().to_warehouse.code


def send_off(level: StockLevel, *, is_draft: bool = False) -> UUID:
    """Send 4 units to wh-002, or draft it."""
    request = TransferRequest(ACTOR, (MoveLine(level.product_id, None, 4, "wh-001", "wh-002"),))
    made = draft_transfer(request) if is_draft else start_transfer(request)
    return cast(Transferred, made).document.id


@pytest.mark.parametrize("kind", ["settings", "snooze", "subscribe", "freeze", "unfreeze", "redirect", "cancel"])
def test_a_stale_dialog_is_refused_with_both_values_and_can_be_sent_again(root: Client, kind: str) -> None:
    url, sent, change, value = edited(kind)
    form = {**form_on(root.get(url)), **sent}
    change()
    theirs = value()
    page = root.post(url, form)
    assert page.status_code == 422
    assert "you saw “" in text_of(page)
    assert "”, it is now “" in text_of(page)
    assert value() == theirs
    assert root.post(url, filled_in(form, seen=None)).status_code == 422, "it doesn't say what it saw"
    assert value() == theirs
    again = form_on(page)
    for name, typed in sent.items():
        assert again.get(name, [""]) == (typed if isinstance(typed, list) else [typed])
    assert root.post(url, again).status_code == 302
    assert value() != theirs
    assert root.post(url, again).status_code == 302, "a double click gets the first answer"


def test_a_draft_of_a_transfer_is_sent_as_it_was_seen(root: Client) -> None:
    level = make_level(10)
    draft_id = send_off(level, is_draft=True)
    url = reverse("admin:inventory_transfer_send", args=[draft_id])
    form = form_on(root.get(url))
    TransferLine.objects.filter(transfer=draft_id).update(quantity=9)
    for version in (form["version"], "", "x"):
        page = root.post(url, {**form, "version": version})
        assert page.status_code == 422
        assert "Somebody else has changed it." in text_of(page)
        assert Transfer.objects.get().status == "PENDING"
    assert root.post(url, form_on(page)).status_code == 302
    assert Transfer.objects.get().status == "IN_TRANSIT"


def test_cancelling_a_transfer_needs_a_reason_and_the_lines_that_were_seen(root: Client) -> None:
    level = make_level(10)
    draft_id = send_off(level, is_draft=True)
    url = reverse("admin:inventory_transfer_cancel", args=[draft_id])
    form = form_on(root.get(url))
    for reason in ("", "   "):
        page = root.post(url, {**form, "reason": reason})
        assert (page.status_code, "reason" in page.context["form"].errors) == (422, True)
    added = make_product(sku="LATER")
    TransferLine.objects.filter(transfer=draft_id).delete()
    TransferLine.objects.create(transfer_id=draft_id, product=added, quantity=3)
    page = root.post(url, {**form, "reason": "not needed"})
    text = text_of(page)
    assert (page.status_code, Transfer.objects.get().status) == (422, "PENDING")
    assert f"{level.product.sku}, units: you saw “4”, it is now “–”" in text
    assert "LATER, units: it is now “3”" in text
    again = form_on(page)
    assert again["reason"] == ["not needed"]
    assert root.post(url, again).status_code == 302
    assert Transfer.objects.get().status == "CANCELLED"
