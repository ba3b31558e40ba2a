"""Lists and other pages, and reads of the API, use the index that was made for them, however many rows there are."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.models import OutboxEvent
from inventory.admin.catalogue.printing import labels_of_places
from inventory.admin.stock.zones import zones_of
from inventory.models import LowStockAlert, StockLevel
from inventory.services.stock.movements import MovementFilter, read_movements
from reservations.models import Reservation
from tests.config.test_trails import ENTRIES, MOVEMENTS, listed, write_entry, write_movement
from tests.conftest import Api
from tests.factories import hold, make_client, make_level, make_store
from tests.inventory.test_movements import explained
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

LEVELS = reverse("admin:inventory_stocklevel_changelist")
RESERVATIONS = reverse("admin:reservations_reservation_changelist")
EVENTS = reverse("admin:audit_outboxevent_changelist")
KEYS = reverse("admin:audit_idempotencykey_changelist")


def plans(ask: Callable[[], Any]) -> str:
    """The plans of the queries that ``ask`` runs, without sequential scans, which small tables would be read by."""
    found: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    with connection.execute_wrapper(explained(found)):
        ask()
    return "\n".join(found)


_MORE = (
    """
INSERT INTO reservations_reservation
SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'store_id', %s::uuid))).*
FROM reservations_reservation r, generate_series(1, 2000)
""",
    """
INSERT INTO inventory_movement
SELECT (jsonb_populate_record(m, jsonb_build_object('id', uuidv7(interval '-1 day')))).*
FROM inventory_movement m, generate_series(1, 2000)
""",
    """
INSERT INTO audit_auditentry
SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(), 'source', %s::text, 'actor', 'eve'))).*
FROM audit_auditentry e, generate_series(1, 2000) WHERE e.id = (SELECT id FROM audit_auditentry LIMIT 1)
""",
)
"""More rows of each table, which no filter below finds. In small tables any index is as good, and so it is in small
indexes: the entries are of the source that is not asked for, so that those by hand are many."""


@pytest.mark.parametrize(
    ("address", "query", "index"),
    [
        (ENTRIES, {"source": "admin", "day": "all"}, "audit_entry_by_hand"),
        (ENTRIES, {"source": "command", "day": "all"}, "audit_entry_by_hand"),
        (ENTRIES, {"actor": "max", "day": "all"}, "audit_entry_of_person"),
        (MOVEMENTS, {"type__exact": "RETURN", "day": "all"}, "movement_type_time"),
        (RESERVATIONS, {"store": "main"}, "reservation_of_store"),
    ],
)
def test_filters_of_lists_are_answered_by_an_index(
    administrator: Client, address: str, query: dict[str, str], index: str
) -> None:
    level = make_level(5)
    hold((level, 1))
    write_entry(timezone.now(), actor="max", source="admin")
    elsewhere = make_store("elsewhere", "wh-001", is_default=False)
    with connection.cursor() as cursor:
        other_source = "command" if query.get("source") == "admin" else "admin"
        for more, parameters in zip(_MORE, ([elsewhere.pk], [], [other_source]), strict=True):
            cursor.execute(more, parameters)
        cursor.execute("ANALYZE audit_auditentry, reservations_reservation, inventory_movement")
    used = plans(lambda: administrator.get(address, query))
    assert index in used, used


def test_reservations_of_a_product_are_found_by_their_items(administrator: Client) -> None:
    level = make_level(5)
    hold((level, 1))
    used = plans(lambda: administrator.get(RESERVATIONS, {"q": str(level.product_id)}))
    assert "item_held" in used
    assert "item_closed" in used
    assert "Seq Scan on reservations_reservationitem" not in used


@pytest.mark.parametrize("named", ["reservation", "client", "product", "nothing"])
def test_search_by_id_finds_what_the_id_names(administrator: Client, named: str) -> None:
    level, client = make_level(5), make_client(name="shop")
    made = hold((level, 1))
    Reservation.objects.filter(pk=made.id).update(client_id=client.pk)
    hold((make_level(5), 1))
    id_ = {"reservation": made.public_id, "client": client.pk, "product": level.product_id, "nothing": uuid7()}[named]
    found = administrator.get(RESERVATIONS, {"q": str(id_)}).context_data["cl"]
    assert [row.pk for row in found.result_list] == ([] if named == "nothing" else [made.id])


def test_person_and_program_of_the_same_name_are_both_found(administrator: Client) -> None:
    by_program = write_entry(timezone.now(), actor="max", source="api")
    by_person = write_entry(timezone.now() - timedelta(minutes=1), actor="max", source="admin")
    assert listed(administrator, ENTRIES, actor="max") == [by_person], "only people have this name now"
    make_client(name="max")
    assert listed(administrator, ENTRIES, actor="max") == [by_program, by_person]


def test_levels_of_retired_and_frozen_goods_are_the_same_by_few_and_by_many(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [make_level(5) for _ in range(3)]
    levels[0].product.is_active = False
    levels[0].product.save()
    other = make_level(5, "wh-009")
    type(other.warehouse).objects.filter(pk=other.warehouse_id).update(is_active=False)
    expected = set(StockLevel.objects.retired())
    assert expected == {levels[0], other}
    assert set(StockLevel.objects.all_retired()) == expected
    monkeypatch.setattr("inventory.models.stock._FEW", 0)
    assert set(StockLevel.objects.all_retired()) == expected


def test_events_are_found_by_their_id_and_by_the_reservation_that_they_are_about(administrator: Client) -> None:
    held = hold((make_level(5), 1))
    about = OutboxEvent.objects.filter(key=held.public_id)
    for text in (held.public_id, held.public_id.upper(), str(about.get().event_id), f"ev-{about.get().event_id}"):
        found = administrator.get(EVENTS, {"q": text}).context_data["cl"]
        assert ([row.pk for row in found.result_list], found.searched) == ([about.get().pk], None), text
    assert not administrator.get(EVENTS, {"q": str(uuid7())}).context_data["cl"].result_list


_CLOSED = """
WITH made AS (
    INSERT INTO reservations_reservation (id, store_id, status, cart_id, created_at, expires_at, released_at, reason)
    SELECT uuidv7(interval '-2 days'), store.id, 'RELEASED', 'cart-' || n, now() - interval '2 days',
        now() - interval '1 day', now() - interval '1 day', ''
    FROM inventory_store store, generate_series(1, 4000) n RETURNING id
)
INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned)
SELECT gen_random_uuid(), made.id, level.id, 1, false
FROM (SELECT id, row_number() OVER () AS n FROM made) made
JOIN (SELECT id, row_number() OVER () AS n FROM inventory_stocklevel) level ON level.n = 1 + made.n % 40
"""


_OF_ACTIVE = ("time=due", "time=later", "state=ACTIVE", "state=ACTIVE&warehouse=wh-001")


def test_pages_of_a_limited_person_do_not_read_the_items_of_all_times() -> None:
    levels = [make_level(9, f"wh-00{1 + n % 4}") for n in range(40)]
    hold((levels[0], 1))
    limited = browser_of(make_staff("manager", "wh-001"))
    with connection.cursor() as cursor:
        cursor.execute(_CLOSED)
        cursor.execute(
            "ANALYZE reservations_reservation, reservations_reservationitem, inventory_stocklevel, inventory_warehouse"
        )
    for asked in (reverse("admin:index"), *(f"{RESERVATIONS}?{query}" for query in _OF_ACTIVE)):
        with CaptureQueriesContext(connection) as caught:
            assert limited.get(asked).status_code == 200
        of_items = [query["sql"] for query in caught if "reservations_reservationitem" in query["sql"]]
        assert of_items, asked
        for sql in of_items:
            plan = _explained(sql)
            read = re.findall(r"on reservations_reservationitem.*actual rows=([\d.]+) loops=(\d+)", plan)
            assert sum(float(rows) * int(loops) for rows, loops in read) < 100, f"{asked}\n{plan}"


def _explained(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_zones_of_a_warehouse_are_read_by_their_index_one_by_one(administrator: Client) -> None:
    for number in range(60):
        make_level(1, f"wh-00{1 + number % 2}", zone=("", "b", "A", "ä")[number % 4])
    warehouse = StockLevel.objects.filter(zone="A").values_list("warehouse", flat=True)[0]
    expected = list(
        StockLevel.objects.filter(warehouse=warehouse).exclude(zone="").order_by("zone").values_list("zone").distinct()
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_stocklevel")
    found: list[str] = []
    with connection.execute_wrapper(explained(found)):
        assert [(zone,) for zone in zones_of(warehouse)] == expected
    assert len(expected) > 0
    read = re.findall(r"on inventory_stocklevel.*actual rows=([\d.]+) loops=(\d+)", found[0])
    assert sum(float(rows) * int(loops) for rows, loops in read) <= len(expected) + 1, found[0]
    page = administrator.get(LEVELS, {"warehouse__id__exact": str(warehouse), "zone": "A"})
    assert {level.zone for level in page.context_data["cl"].result_list} == {"A"}
    assert not zones_of(uuid7())


def test_chart_of_a_limited_person_reads_the_items_of_a_day_once() -> None:
    levels = [make_level(9, f"wh-00{1 + n % 4}") for n in range(40)]
    hold((levels[0], 1))
    limited = browser_of(make_staff("manager", "wh-001"))
    with connection.cursor() as cursor:
        cursor.execute(_CLOSED.replace("2 days", "2 hours").replace("1 day", "1 hour"))
        cursor.execute(
            "ANALYZE reservations_reservation, reservations_reservationitem, inventory_stocklevel, inventory_warehouse"
        )
    with CaptureQueriesContext(connection) as caught:
        answer = limited.get(reverse("admin:index"))
    here = Reservation.objects.with_item_in(["wh-001"]).count()
    assert here == 1001
    assert [figure.value for kind, figure in answer.context_data["chart"].totals if kind == "made"] == [here]
    (sql,) = [query["sql"] for query in caught if "date_bin" in query["sql"]]
    plan = _explained(sql)
    looked = re.findall(r"on (?:reservations_reservationitem|inventory_stocklevel).*loops=(\d+)", plan)
    assert sum(map(int, looked)) <= len(levels) + 2, plan  # Not once for each of 4,001 items.


def test_rare_type_of_movements_is_not_looked_for_at_each_level_of_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inventory.services.stock.movements._NEWEST", 10)
    quiet = [make_level(1, "wh-003") for _ in range(40)]
    other = make_level(1, "wh-001")
    now = timezone.now()
    mine = write_movement(quiet[0], now - timedelta(days=9), type="RETURN")
    for number in range(20):
        write_movement(other, now - timedelta(hours=number), type="RETURN")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_movement SELECT (jsonb_populate_record(m, jsonb_build_object('id', "
            "gen_random_uuid()))).* FROM inventory_movement m, generate_series(1, 100) WHERE type = 'RECEIPT'"
        )
        cursor.execute("ANALYZE inventory_movement, inventory_stocklevel, inventory_warehouse")
    found: list[str] = []
    with connection.execute_wrapper(explained(found)):
        (line,) = read_movements(MovementFilter(warehouse="wh-003", type="RETURN"), behind=None, limit=51)
    assert line.id == mine.pk
    assert "movement_type_time" in found[-1], found[-1]
    assert "movement_of_level" not in found[-1], found[-1]


def test_recent_movements_are_counted_along_the_index_of_time(administrator: Client) -> None:
    level = make_level(5)
    for day in range(40):
        write_movement(level, timezone.now() - timedelta(days=day))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_movement")
        cursor.execute("SET LOCAL enable_seqscan = off")
    with CaptureQueriesContext(connection) as caught:
        assert administrator.get(MOVEMENTS).context_data["cl"].result_count >= 30
    (sql,) = [query["sql"] for query in caught if "COUNT(" in query["sql"] and "inventory_movement" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
    assert "Backward using movement_time" in _explained(sql), sql


def test_labels_of_places_are_found_and_counted_by_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    for shelf in ("1", "2", "2", "3"):
        warehouse = make_level(1, zone="A", shelf=shelf).warehouse
    monkeypatch.setattr("inventory.admin.catalogue.printing.MOST", 2)
    with CaptureQueriesContext(connection) as caught:
        labels, asked = labels_of_places(warehouse)
    assert ([label.title for label in labels], asked) == (["A-1", "A-2"], 3)
    assert len(caught) == 1


def _reads_of_alerts(api: Api, query: str) -> tuple[list[str], float]:
    """The ids that the API lists, and how many alerts PostgreSQL read for them, with those that a filter removed."""
    found: list[str] = []
    with connection.execute_wrapper(explained(found)):
        answer = api.get(f"alerts?{query}")
    assert answer.status_code == 200, answer.json()
    read = re.findall(
        r"on inventory_lowstockalert.*actual rows=([\d.]+) loops=(\d+)\)((?:\n(?! *->).*)*)", "\n".join(found)
    )
    removed = [sum(map(int, re.findall(r"Removed by Filter: (\d+)", rest))) for _, _, rest in read]
    total = sum((float(rows) + left) * int(loops) for (rows, loops, _), left in zip(read, removed, strict=True))
    return [item["alertId"] for item in answer.json()["items"]], total


def test_alerts_of_a_quiet_warehouse_are_found_by_its_index(api: Api) -> None:
    """The alerts of other warehouses are newer: in the order of ids alone, they would be read first."""
    quiet, busy = make_level(1, "wh-003"), make_level(1, "wh-001")
    make_level(1, "wh-009")
    with connection.cursor() as cursor:
        for level, number, age, state in ((quiet, 1, 5, "NULL"), (quiet, 1, 4, "now()"), (busy, 3000, 0, "now()")):
            cursor.execute(
                "INSERT INTO inventory_lowstockalert (id, level_id, severity, available, opened_at, resolved_at)"
                f" SELECT uuidv7(make_interval(days => -{age})), %s, 'LOW', 1, now(), {state}"
                " FROM generate_series(1, %s)",
                [level.pk, number],
            )
        cursor.execute("ANALYZE inventory_lowstockalert, inventory_stocklevel, inventory_warehouse")
    for query, expected in (("", 1), ("&state=RESOLVED", 1), ("&state=ALL", 2), ("&severity=CRITICAL", 0)):
        shown, read = _reads_of_alerts(api, f"warehouseId=wh-003{query}")
        assert len(shown) == expected
        assert read <= 6, query
        assert _reads_of_alerts(api, f"warehouseId=wh-009{query}") == ([], 0)
    of_busy, read = _reads_of_alerts(api, "warehouseId=wh-001&state=ALL&limit=10")
    assert (len(of_busy), read) == (10, 22)


def test_pages_of_a_warehouse_are_its_alerts_each_once_the_newest_first(api: Api) -> None:
    levels = [make_level(1, f"wh-00{1 + n % 2}") for n in range(12)]
    known = {"severity": "LOW", "available": 1, "opened_at": timezone.now()}
    made = [LowStockAlert.objects.create(level=level, **known) for level in levels]
    shown: list[str] = []
    following: str | None = ""
    while following is not None:
        page = api.get(f"alerts?warehouseId=wh-001&limit=4{following}").json()
        shown += [item["alertId"] for item in page["items"]]
        following = f"&cursor={page['next']}" if page.get("next") else None
    assert shown == [alert.public_id for alert in made[::2]][::-1]


def test_sums_of_stock_compute_the_age_of_a_stale_count_once(administrator: Client) -> None:
    """To subtract the days from the present time for each row of the table took as long as the sums."""
    levels = [make_level(3) for _ in range(3)]
    for level, days in zip(levels, (91, 89), strict=False):
        counted = timezone.now() - timedelta(days=days)
        StockLevel.objects.filter(pk=level.pk).update(last_counted_at=counted)
    cache.clear()
    with CaptureQueriesContext(connection) as caught:
        cards = administrator.get(reverse("admin:index")).context_data["cards"]
    (counts,) = [card for card in cards if str(card.title) == "Counts"]
    assert [figure.value for figure in counts.figures[-2:]] == [1, 1]
    (sql,) = [query["sql"] for query in caught if 'SUM("inventory_stocklevel"."on_hand")' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (VERBOSE) {sql}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    sums, _, once = plan.partition("InitPlan")
    assert "sum(" in sums
    assert "statement_timestamp()" in once
    assert plan.count("statement_timestamp()") == 1, plan
