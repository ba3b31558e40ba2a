"""The console's lists and pages: all can be opened, and read-only ones can't be changed."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import config.urls  # noqa: F401 - registers the console's pages, which are asked for below
from audit.authentication import issue_token
from audit.console.base import ReadOnlyAdmin
from audit.models import (
    ApiClient,
    ApiToken,
    AuditEntry,
    IdempotencyKey,
    OutboxEvent,
    WebhookAttempt,
    WebhookSubscription,
)
from audit.webhooks import managing
from inventory.models import (
    AdjustmentReason,
    LowStockAlert,
    Movement,
    Product,
    ReconciliationFinding,
    ReconciliationRun,
    StockCount,
    StockCountLine,
    StockDocument,
    StockLevel,
    Store,
    Transfer,
    TransferLine,
    Warehouse,
)
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.models import BrokenHold, DeadLetter, ReceivedEvent, Reservation, ShortageIncident
from tests.factories import (
    ACTOR,
    hold,
    make_client,
    make_due,
    make_level,
    make_product,
    make_store,
    make_warehouse,
    receive,
)
from tests.orders.sending import event
from tests.orders.sending import receive as receive_events
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db

_numbers = itertools.count(1)
REGISTERED = list(admin.site._registry)
FOR_READING = [model for model in REGISTERED if isinstance(admin.site._registry[model], ReadOnlyAdmin)]


def _make_store() -> None:
    number = next(_numbers)
    make_store(f"store-{number}", f"wh-{number}", f"wh-{number + 5000}", is_default=False)


def _make_reservation() -> None:
    hold((make_level(10), 2), (make_level(10), 1))


def make_webhook() -> WebhookSubscription:
    made = managing.create(ACTOR, {"name": f"webhook {next(_numbers)}", "url": "https://example.com/"})
    assert isinstance(made, managing.Changed)
    return made.webhook


def _make_attempt() -> None:
    WebhookAttempt.objects.create(
        at=timezone.now(),
        subscription_id=make_webhook().pk,
        event_id=uuid4(),
        type="InventoryReservedEvent",
        key="res-1",
        cursor="",
        number=1,
        url="https://example.com/",
        request={},
        bytes=2,
        status=204,
        answer="",
        milliseconds=3,
        is_delivered=True,
    )


def _make_key() -> None:
    IdempotencyKey.objects.create(
        client_id=uuid4(), key=f"key-{next(_numbers)}", fingerprint=b"\0" * 32, status=201, body=b'{"answer": 42}'
    )


def _make_transfer() -> None:
    level, arrives = make_level(10), make_level(1, "wh-002")
    transfer = Transfer.objects.create(
        status="IN_TRANSIT",
        from_warehouse=level.warehouse,
        to_warehouse=arrives.warehouse,
        initiated_by="ada",
        initiated_at=timezone.now(),
        shipped_at=timezone.now(),
    )
    TransferLine.objects.create(
        transfer=transfer,
        product=level.product,
        source_level=level,
        destination_level=arrives,
        quantity=2,
        quantity_shipped=2,
    )


def _make_document() -> None:
    level = receive(make_product(), 5)
    clerk = msgspec.structs.replace(ACTOR, name="clerk", source="admin")
    line = Adjustment(level.product_id, None, "wh-001", 2, "RECEIPT", "goods", "PO-1")
    apply_adjustments(AdjustRequest(clerk, (line,)))


def _make_count() -> None:
    level = make_level(10)
    count = StockCount.objects.create(warehouse=level.warehouse, scope="ALL", opened_by="ada", opened_at=timezone.now())
    StockCountLine.objects.create(count=count, level=level)


def _make_alert() -> None:
    LowStockAlert.objects.create(
        level=make_level(1), severity="LOW", available=1, reorder_point=2, opened_at=timezone.now()
    )


def _make_incident() -> None:
    held = hold((make_level(10), 2))
    incident = ShortageIncident.objects.create(
        level=make_level(10),
        missing_units=2,
        cause_type="COUNT",
        cause_id=uuid4(),
        created_at=timezone.now(),
        created_by="ada",
        request_id="r-1",
    )
    BrokenHold.objects.create(incident=incident, reservation_id=held.id, quantity=2)


def _make_run() -> ReconciliationRun:
    now = timezone.now()
    return ReconciliationRun.objects.create(
        started_at=now, finished_at=now, scope="everything", actor="ada", levels_checked=1, finding_count=1
    )


def _make_finding() -> None:
    level = make_level(10)
    ReconciliationFinding.objects.create(
        run=_make_run(), kind="ON_HAND", subject_id=level.pk, level=level, expected=9, actual=10, detail="on hand is 10"
    )


MAKE_ONE: dict[type[models.Model], Callable[[], Any]] = {
    User: lambda: make_staff("viewer"),
    Group: lambda: Group.objects.create(name=f"group-{next(_numbers)}"),
    ApiClient: lambda: issue_token(make_client()),
    ApiToken: lambda: issue_token(make_client()),
    AuditEntry: _make_reservation,
    IdempotencyKey: _make_key,
    OutboxEvent: _make_reservation,
    WebhookSubscription: make_webhook,
    WebhookAttempt: _make_attempt,
    Product: lambda: make_product(parent=make_product(), barcode="2000000000015"),
    Warehouse: lambda: make_warehouse(f"wh-{next(_numbers)}", contact_info={"name": "Ada"}),
    Store: _make_store,
    AdjustmentReason: lambda: AdjustmentReason.objects.create(text=f"Reason {next(_numbers)}", kinds=["SHIP"]),
    StockLevel: lambda: receive(make_product(), 5),
    Movement: lambda: receive(make_product(), 5),
    StockDocument: _make_document,
    Reservation: _make_reservation,
    Transfer: _make_transfer,
    StockCount: _make_count,
    LowStockAlert: _make_alert,
    ShortageIncident: _make_incident,
    DeadLetter: lambda: receive_events(event("OrderShippedEvent")),
    ReceivedEvent: lambda: receive_events(event("OrderCancelledEvent", orderId="order-1")),
    ReconciliationRun: _make_run,
    ReconciliationFinding: _make_finding,
}


@pytest.fixture
def staff(store: Store) -> Client:
    """A superuser's browser."""
    return browser_of(make_staff(name="ada"))


def page(model: type[models.Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def count_queries(browser: Client, url: str) -> int:
    assert browser.get(url).status_code == 200  # Content types are loaded once per process.
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(url).status_code == 200
    return len(queries)


def test_every_model_is_in_the_admin_and_has_rows_to_show_here() -> None:
    assert set(REGISTERED) == MAKE_ONE.keys()


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
def test_list_and_page_open_and_the_list_asks_no_more_for_more_rows(staff: Client, model: type[models.Model]) -> None:
    MAKE_ONE[model]()
    few = count_queries(staff, page(model, "changelist"))
    for row in model._default_manager.all():
        answer = staff.get(page(model, "change", row.pk))
        assert answer.status_code == 200
        assert (b'name="_save"' in answer.content) == (model not in FOR_READING)
    for _ in range(10):
        MAKE_ONE[model]()
    assert count_queries(staff, page(model, "changelist")) == few


@pytest.mark.parametrize("model", FOR_READING, ids=lambda model: model.__name__)
def test_nothing_is_added_changed_or_deleted(staff: Client, model: type[models.Model]) -> None:
    MAKE_ONE[model]()
    row = model._default_manager.first()
    assert row is not None
    before = model._default_manager.values().get(pk=row.pk)
    assert staff.get(page(model, "add")).status_code == 403
    for url in (page(model, "add"), page(model, "change", row.pk), page(model, "delete", row.pk)):
        assert staff.post(url, {"name": "changed", "on_hand": "1000", "post": "yes"}).status_code == 403
    staff.post(page(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model._default_manager.values().get(pk=row.pk) == before


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
@pytest.mark.parametrize("typed", ["e", "%", "res-1", "d4c3be38-2bb1-53da-ab83-5417b452563e", "adj-" + "0" * 36, "\0"])
def test_search_takes_whatever_is_typed(staff: Client, model: type[models.Model], typed: str) -> None:
    assert staff.get(page(model, "changelist"), {"q": typed}).status_code == 200


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
def test_every_filter_and_every_order_works(staff: Client, model: type[models.Model]) -> None:
    MAKE_ONE[model]()
    changelist = staff.get(page(model, "changelist")).context["cl"]
    links = [choice["query_string"] for spec in changelist.filter_specs for choice in spec.choices(changelist)]
    links += [f"?o={column}" for column in range(len(changelist.list_display) + 1)]
    for link in links:
        answer = staff.get(page(model, "changelist") + link)
        assert answer.status_code == 200, link


def test_reservation_is_found_by_its_public_id_and_a_due_one_reads_as_expired(staff: Client) -> None:
    held = hold((make_level(10), 2))
    make_due(held.id, ago=timedelta(minutes=1))
    found = staff.get(page(Reservation, "changelist"), {"q": held.public_id, "state": "EXPIRED"}).context["cl"]
    assert [row.pk for row in found.result_list] == [held.id]
    assert not staff.get(page(Reservation, "changelist"), {"state": "ACTIVE"}).context["cl"].result_list
    answer = staff.get(page(Reservation, "change", held.id))
    assert "EXPIRED" in answer.content.decode()


def test_digests_of_tokens_are_never_shown(staff: Client) -> None:
    token = issue_token(make_client())
    row = ApiToken.objects.get()
    for url in (page(ApiToken, "changelist"), page(ApiToken, "change", row.pk)):
        shown = staff.get(url).content.decode()
        assert bytes(row.digest).hex() not in shown
        assert token.partition(".")[2] not in shown
        assert "digest" not in shown


@pytest.mark.parametrize("asked", [{}, {"q": "Product"}, {"is_active__exact": "1"}])
def test_no_more_rows_are_counted_than_the_pager_shows(
    staff: Client, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    for _ in range(3):
        make_product()
    shown = staff.get(page(Product, "changelist"), asked)
    assert (shown.context["cl"].result_count, "more than" in shown.content.decode()) == (3, False)
    monkeypatch.setattr("audit.console.base.COUNTED_AT_MOST", 2)
    shown = staff.get(page(Product, "changelist"), asked)
    assert (shown.context["cl"].result_count, "more than 2" in shown.content.decode()) == (2, True)
    with CaptureQueriesContext(connection) as queries:
        staff.get(page(Product, "changelist"), asked)
    (counting,) = [query["sql"] for query in queries if "COUNT(*)" in query["sql"]]
    assert "LIMIT 3" in counting


def _with_holds(level: StockLevel) -> None:
    hold((level, 1), order_id=f"order-{next(_numbers)}")


def test_page_of_a_level_asks_no_more_for_more_holds_and_movements(staff: Client) -> None:
    level = make_level(100)
    _with_holds(level)
    few = count_queries(staff, page(StockLevel, "change", level.pk))
    for _ in range(5):
        _with_holds(level)
        receive(level.product, 1)
    assert count_queries(staff, page(StockLevel, "change", level.pk)) == few


def test_page_of_a_product_asks_no_more_for_more_variants_and_levels(staff: Client) -> None:
    parent = make_product()
    receive(make_product(parent=parent), 1)
    receive(parent, 1)
    few = count_queries(staff, page(Product, "change", parent.pk))
    for number in range(5):
        make_product(parent=parent)
        receive(parent, 1, make_warehouse(f"more-{number}").code)
    assert count_queries(staff, page(Product, "change", parent.pk)) == few


def test_page_of_labels_asks_no_more_for_more_products(staff: Client) -> None:
    make_product()
    few = count_queries(staff, page(Product, "labels"))
    for _ in range(5):
        make_product()
    assert count_queries(staff, page(Product, "labels")) == few
