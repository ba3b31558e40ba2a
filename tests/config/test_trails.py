"""Movements and the audit trail in the console: filters by day, search, links, and the indexes they use."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.console import exports, filters
from audit.console.filters import Span, span_of, within
from audit.identifiers import first_id_at
from audit.models import AuditEntry, IdempotencyKey, OutboxEvent
from inventory.models import Movement
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR, hold, make_level, make_product, recorded
from tests.forms import form_on
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

MOVEMENTS = reverse("admin:inventory_movement_changelist")
ENTRIES = reverse("admin:audit_auditentry_changelist")


def listed(browser: Client, url: str, **asked: str) -> list[Any]:
    answer = browser.get(url, asked)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def write_movement(level: Any, at: datetime, **fields: Any) -> Movement:
    """Write a movement with another time, as the ledger would have written it then."""
    return Movement.objects.create(
        **{
            "level": level,
            "type": "RECEIPT",
            "quantity": 1,
            "quantity_before": 0,
            "quantity_after": 1,
            "actor": "old",
            "created_at": at,
            **fields,
        }
    )


def write_entry(at: datetime, **fields: Any) -> AuditEntry:
    """Write an audit entry with another time and an id of that time."""
    made = UUID(int=first_id_at(at).int | uuid7().int & (1 << 80) - 1)
    given = {"action": "inventory_stock_adjusted", "actor": "old", "source": "api", "request_id": "r", "changes": {}}
    return AuditEntry.objects.create(**{"id": made, "at": at, "subject_id": uuid7(), **given, **fields})


# ---------------------------------------------------------------------------------------------------------------- days


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2025", "2025-01-01", "2026-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2025-12-31", "2025-12-31", "2026-01-01"),
    ],
)
def test_span_is_that_of_the_calendar_in_the_readers_zone(text: str, since: str, until: str) -> None:
    with timezone.override("Europe/Vienna"):
        zone = timezone.get_current_timezone()
        expected = [datetime.fromisoformat(day).replace(tzinfo=zone) for day in (since, until)]
        assert span_of(text) == Span(*expected)


@pytest.mark.parametrize("text", ["all", "", "2025-13", "2025-02-30", "0000", "9999", "x" * 300, "12345", "٣"])
def test_what_is_no_day_is_no_bound_and_no_error(text: str, manager: Client) -> None:
    make_level(1)
    for url in (MOVEMENTS, ENTRIES):
        assert manager.get(url, {"day": text}).status_code == 200


def test_last_thirty_days_are_shown_where_nothing_is_chosen(manager: Client) -> None:
    level = make_level(5)
    old = write_movement(level, datetime(2024, 2, 29, 12, tzinfo=UTC))
    assert old not in listed(manager, MOVEMENTS)
    assert old in listed(manager, MOVEMENTS, day="all")
    for day in ("2024", "2024-02", "2024-02-29"):
        assert listed(manager, MOVEMENTS, day=day) == [old]
    assert listed(manager, MOVEMENTS, day="2024-03") == []
    assert listed(manager, MOVEMENTS, q=level.product.sku)[-1] == old, "an index finds it in all days"


def test_chips_lead_from_years_to_days(manager: Client) -> None:
    write_movement(make_level(5), datetime(2024, 2, 29, 12, tzinfo=UTC))

    def chips(**asked: str) -> list[str]:
        return [str(day["display"]) for day in manager.get(MOVEMENTS, asked).context["days"]]

    assert {"Today", "30 days", "2024", "2025"} <= set(chips())
    assert "February" in chips(day="2024")
    assert "29" in chips(day="2024-02")
    assert "30" not in chips(day="2024-02")


def test_entries_of_a_day_are_found_by_ids_of_about_that_day(manager: Client) -> None:
    late = write_entry(datetime(2025, 3, 1, 23, 59, 59, tzinfo=UTC))
    early = write_entry(datetime(2025, 3, 2, 0, 0, tzinfo=UTC))
    assert listed(manager, ENTRIES, day="2025-03-01") == [late]
    assert listed(manager, ENTRIES, day="2025-03-02") == [early]
    waited = write_entry(
        datetime(2025, 6, 2, 0, 5, tzinfo=UTC), id=first_id_at(datetime(2025, 6, 1, 23, 50, tzinfo=UTC))
    )
    assert listed(manager, ENTRIES, day="2025-06-02") == [waited], "an id is older than its row by the wait for a lock"


def plan(rows: QuerySet[Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    return rows.explain()


def test_days_and_ways_go_by_indexes() -> None:
    day = Span(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC))
    assert "movement_time" in plan(
        within(Movement.objects.order_by("-created_at", "-id"), "created_at", day, by_id=False)
    )
    assert "audit_auditentry_pkey" in plan(within(AuditEntry.objects.order_by("-id"), "at", day, by_id=True))
    assert "audit_auditentry_pkey" in plan(filters.around(AuditEntry.objects.all(), timezone.now()))


# -------------------------------------------------------------------------------------------------------------- search


def adjust(level: Any, *, actor: str = "tests", reference: str = "", kind: str = "RECEIPT", quantity: int = 1) -> UUID:
    line = Adjustment(level.product_id, None, level.warehouse.code, quantity, kind, "because", reference)
    actor = type(ACTOR)(actor, None, f"req-{uuid7()}", "api")
    request = AdjustRequest(actor=actor, adjustments=(line,))
    apply_adjustments(request)
    return request.id


def test_movements_are_found_by_what_people_have_at_hand(manager: Client) -> None:
    level, other = make_level(5), make_level(5)
    level.product.barcode = "2000000000015"
    level.product.save()
    adjustment_id = adjust(level, actor="zoe", reference="DN-77")
    sought = Movement.objects.get(adjustment_id=adjustment_id)
    for term in ("DN-77", "zoe", f"adj-{adjustment_id}", str(sought.pk)):
        assert listed(manager, MOVEMENTS, q=term) == [sought], term
    for term in (level.product.sku, level.product.sku.lower(), "2000000000015", str(level.pk), str(level.product_id)):
        found = listed(manager, MOVEMENTS, q=term)
        assert {row.level_id for row in found} == {level.pk}, term
        assert len(found) == 2
    assert other.pk in {row.level_id for row in listed(manager, MOVEMENTS, q="sku-")}
    assert listed(manager, MOVEMENTS, q="nobody") == []


def test_entries_are_found_by_what_people_have_at_hand(manager: Client) -> None:
    level = make_level(5)
    adjust(level, actor="zoe")
    entry = recorded("inventory_stock_adjusted")[-1]
    make_product()
    for term in ("zoe", entry.request_id, str(entry.pk)):
        assert listed(manager, ENTRIES, q=term) == [entry], term
    assert entry in listed(manager, ENTRIES, q=str(level.pk))
    assert entry in listed(manager, ENTRIES, q="stock adjusted")
    for asked in ({"source": "api"}, {"actor": "zoe"}, {"action_is": entry.action}, {"subject": str(level.pk)}):
        assert entry in listed(manager, ENTRIES, **asked), asked
    assert entry not in listed(manager, ENTRIES, source="sweeper")


# ---------------------------------------------------------------------------------------------------------------- ways


def page(browser: Client, row: Any) -> str:
    answer = browser.get(reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_adjustment_and_its_entry_lead_to_each_other(manager: Client) -> None:
    level = make_level(5)
    adjustment_id = adjust(level)
    movement, entry = Movement.objects.get(adjustment_id=adjustment_id), recorded("inventory_stock_adjusted")[-1]
    assert reverse("admin:audit_auditentry_change", args=[entry.pk]) in page(manager, movement)
    shown = page(manager, entry)
    assert reverse("admin:inventory_stocklevel_change", args=[level.pk]) in shown
    assert f"?entry={entry.pk}" in shown
    assert listed(manager, MOVEMENTS, entry=str(entry.pk), day="all") == [movement]


def test_sale_leads_to_its_order_and_its_entry(manager: Client) -> None:
    held = hold((make_level(10), 2))
    consume_hold(ConsumeRequest(ACTOR, "order-9", Selector(reservation_id=held.id)))
    movement, entry = Movement.objects.get(type="SHIPMENT"), recorded("inventory_reservation_consumed")[-1]
    shown = page(manager, movement)
    assert "reservation/?q=order-9" in shown
    assert reverse("admin:audit_auditentry_change", args=[entry.pk]) in shown
    assert listed(manager, MOVEMENTS, entry=str(entry.pk), day="all") == [movement]
    assert reverse("admin:reservations_reservation_change", args=[held.id]) in page(manager, entry)


def test_entries_of_one_request_are_shown_together(manager: Client) -> None:
    at = timezone.now()
    both = [write_entry(at, request_id="req-1"), write_entry(at + timedelta(seconds=1), request_id="req-1")]
    write_entry(at, request_id="req-2")
    found = listed(manager, ENTRIES, same_request_as=str(both[0].pk), day="all")
    assert {row.pk for row in found} == {row.pk for row in both}
    for nonsense in ("x", str(uuid7())):
        assert listed(manager, ENTRIES, same_request_as=nonsense) == []
        assert listed(manager, MOVEMENTS, entry=nonsense) == []


def test_trail_is_hidden_without_permission() -> None:
    adjust(make_level(5))
    movement, entry = Movement.objects.order_by("-id")[0], recorded("inventory_stock_adjusted")[-1]
    for who in (make_staff("warehouse"), make_staff("manager", "wh-001")):
        assert str(entry.pk) not in page(browser_of(who), movement)


# ------------------------------------------------------------------------------------------------------------- exports


def exported(browser: Client, model: str, **asked: str) -> list[list[str]]:
    answer = browser.get(reverse(f"admin:{model}_export_csv"), asked)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))


def test_exports_have_the_rows_of_their_lists_page_after_page(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    level, now = make_level(5), timezone.now()
    for number in range(5):
        write_movement(level, now - timedelta(seconds=number // 2), reference=f"=r{number}")
    monkeypatch.setattr(exports, "_BATCH", 2)
    found = exported(manager, "inventory_movement")[1:]
    assert [row[0] for row in found] == [
        str(pk) for pk in Movement.objects.order_by("-created_at", "-id").values_list("pk", flat=True)
    ]
    assert {row[11] for row in found if row[11]} == {f"'=r{number}" for number in range(5)}
    entries = exported(manager, "audit_auditentry")[1:]
    assert [row[0] for row in entries] == [
        str(pk) for pk in AuditEntry.objects.order_by("-id").values_list("pk", flat=True)
    ]
    assert len(exported(manager, "inventory_movement", q="=r3")) == 2


def test_movements_of_another_warehouse_are_neither_listed_nor_exported() -> None:
    mine, other = make_level(1, "wh-001"), make_level(1, "wh-009")
    limited = browser_of(make_staff("manager", "wh-001"))
    assert {row.level_id for row in listed(limited, MOVEMENTS)} == {mine.pk}
    assert listed(limited, MOVEMENTS, q=other.product.sku) == []
    assert {row[4] for row in exported(limited, "inventory_movement", day="all")[1:]} == {"wh-001"}
    assert limited.get(reverse("admin:audit_auditentry_export_csv")).status_code == 403
    assert browser_of(make_staff("warehouse")).get(reverse("admin:inventory_movement_export_csv")).status_code == 403


def test_lists_ask_no_more_for_more_rows(manager: Client) -> None:
    def ask(url: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert manager.get(url).status_code == 200
        return len(queries)

    make_level(1)
    few = [ask(url) for url in (MOVEMENTS, ENTRIES)]
    for _ in range(8):
        make_level(1)
    assert [ask(url) for url in (MOVEMENTS, ENTRIES)] == few


@pytest.mark.parametrize("model", [AuditEntry, IdempotencyKey, OutboxEvent])
def test_pages_of_trails_show_short_ids_and_copy_whole_ones(model: Any) -> None:
    level = make_level(5)
    root = browser_of(make_staff(name="root"))
    url = reverse("admin:inventory_stocklevel_receive", args=[level.pk])
    sent = root.post(url, {**form_on(root.get(url)), "quantity": "2", "remark": "came"})
    assert sent.status_code == 302, sent.context["form"].errors
    row = model.objects.order_by("-pk").first()
    page = root.get(reverse(f"admin:audit_{model._meta.model_name}_change", args=[row.pk]))
    assert page.status_code == 200
    whole = re.sub(r"<[^>]+>", "", page.content.decode())
    seen = re.sub(r"<[^>]+>", "", re.sub(r'<span class="flow-unseen">[^<]*</span>', "", page.content.decode()))
    assert str(row.event_id if model is OutboxEvent else row.pk) in whole
    assert re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", seen) == []
