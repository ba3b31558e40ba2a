"""Constraints of the database refuse rows that the service must never write."""

from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR, hold, make_level, make_product, make_variant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def rows() -> dict[str, Any]:
    """One of everything: a level with a movement, a hold and a sale."""
    level = make_level(10)
    sold, made = hold((level, 2)), hold((level, 3))
    consume_hold(ConsumeRequest(ACTOR, "order", Selector(reservation_id=sold.id)))
    variant = make_variant(make_product())
    return {"level": level.id, "made": made.id, "sold": sold.id, "product": level.product_id, "variant": variant.id}


def refusal(sql: str, rows: dict[str, Any]) -> str:
    """The error of the database for a statement."""
    with pytest.raises(DatabaseError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, rows)
    return str(refused.value)


LEVEL = "UPDATE inventory_stocklevel SET {} WHERE id = %(level)s"
MOVEMENT = """INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
    reference_type, reference, actor, created_at) VALUES (gen_random_uuid(), %(level)s, {}, '', '', '', '', now())"""
RESERVATION = "UPDATE reservations_reservation SET {} WHERE id = %(made)s"


@pytest.mark.parametrize(
    ("constraint", "sql"),
    [
        ("level_on_hand_not_negative", LEVEL.format("on_hand = -1, reserved = -1")),
        ("level_on_hand_limit", LEVEL.format("on_hand = 2000000001")),
        ("level_reserved_not_negative", LEVEL.format("reserved = -1")),
        ("level_reserved_within_on_hand", LEVEL.format("reserved = on_hand + 1")),
        ("level_settings_not_negative", LEVEL.format("min_stock_level = -1")),
        ("level_settings_not_negative", LEVEL.format("reorder_point = -1")),
        ("level_settings_not_negative", LEVEL.format("reorder_quantity = 0")),
        ("level_settings_not_negative", LEVEL.format("max_stock_level = 0")),
        (
            "level_once",
            """INSERT INTO inventory_stocklevel (id, product_id, warehouse_id, on_hand, reserved, min_stock_level, zone,
               aisle, shelf, version) SELECT gen_random_uuid(), product_id, warehouse_id, 0, 0, 0, '', '', '', 1
               FROM inventory_stocklevel WHERE id = %(level)s""",
        ),
        ("movement_moves_something", MOVEMENT.format("'RECEIPT', 0, 5, 5")),
        ("movement_adds_up", MOVEMENT.format("'RECEIPT', 1, 5, 7")),
        ("movement_type_is_known", MOVEMENT.format("'THEFT', 1, 5, 6")),
        ("product_not_its_own_parent", "UPDATE inventory_product SET parent_id = id WHERE id = %(product)s"),
        ("inventory_product_sku", "UPDATE inventory_product SET sku = 'same'"),
        ("warehouse_type_is_known", "UPDATE inventory_warehouse SET type = 'SHED'"),
        ("inventory_warehouse_code", "UPDATE inventory_warehouse SET code = 'same'"),
        ("store_ttl_positive", "UPDATE inventory_store SET ttl_minutes = 0"),
        (
            "store_one_default",
            "INSERT INTO inventory_store (id, code, name, is_default) VALUES (gen_random_uuid(), 'x', 'x', true)",
        ),
        (
            "store_warehouse_once",
            """INSERT INTO inventory_storewarehouse (id, store_id, warehouse_id, priority)
               SELECT gen_random_uuid(), store_id, warehouse_id, 9 FROM inventory_storewarehouse""",
        ),
        ("reservation_status_agrees", RESERVATION.format("status = 'CONSUMED'")),
        ("reservation_status_agrees", RESERVATION.format("status = 'CONSUMED', consumed_at = now()")),
        ("reservation_status_agrees", RESERVATION.format("status = 'RELEASED'")),
        ("reservation_status_agrees", RESERVATION.format("status = 'EXPIRED', consumed_at = now()")),
        ("reservation_status_agrees", RESERVATION.format("released_at = now()")),
        ("reservation_status_agrees", RESERVATION.format("status = 'HELD'")),
        ("reservation_is_for_something", RESERVATION.format("cart_id = NULL, order_id = NULL")),
        ("reservation_reacquired_once", "UPDATE reservations_reservation SET reacquired_from_id = %(sold)s"),
        ("item_holds_something", "UPDATE reservations_reservationitem SET quantity = 0"),
        (
            "item_once_per_level",
            """INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned)
               SELECT gen_random_uuid(), reservation_id, level_id, 1, false FROM reservations_reservationitem""",
        ),
        (
            "idempotency_key_once",
            """INSERT INTO audit_idempotencykey (id, client_id, key, fingerprint, status, body)
               SELECT gen_random_uuid(), %(made)s, 'k', '', 200, '' FROM generate_series(1, 2)""",
        ),
    ],
)
def test_a_named_constraint_refuses_what_breaks_it(rows: dict[str, Any], constraint: str, sql: str) -> None:
    assert constraint in refusal(sql, rows)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE inventory_movement SET reason = 'x'",
        "DELETE FROM inventory_movement",
        "UPDATE audit_auditentry SET actor = 'x'",
        "DELETE FROM audit_auditentry",
        "DELETE FROM inventory_store",
        "DELETE FROM inventory_warehouse",
        "DELETE FROM inventory_stocklevel WHERE id = %(level)s",
    ],
)
def test_history_is_only_appended_to_and_places_are_kept(rows: dict[str, Any], sql: str) -> None:
    assert "pgtrigger: Cannot" in refusal(sql, rows)


def test_a_product_with_stock_is_kept(rows: dict[str, Any]) -> None:
    def delete() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM inventory_product WHERE id = %(product)s", rows)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(IntegrityError), transaction.atomic():
        delete()


def test_a_reservation_with_items_is_kept(rows: dict[str, Any]) -> None:
    def delete(*tables: tuple[str, str]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for column, table in tables:
                cursor.execute(f"DELETE FROM reservations_{table} WHERE {column} = %(made)s", rows)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(IntegrityError, match="has items"):
        delete(("id", "reservation"))
    delete(("id", "reservation"), ("reservation_id", "reservationitem"))
    assert one(f"SELECT id FROM reservations_reservation WHERE id = '{rows['made']}'") == []


def test_what_a_lock_proves_is_not_checked_again() -> None:
    """Each foreign-key check of a new item or movement would cost a hold a look-up and a row lock."""
    checked = one("""
        SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'
        AND conrelid IN ('reservations_reservation'::regclass, 'reservations_reservationitem'::regclass,
            'inventory_movement'::regclass)
    """)
    assert checked == [("reservations_reservation", "reservations_reservation")]


def one(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_no_index_mentions_what_a_reserve_changes() -> None:
    indexes = one("SELECT indexdef FROM pg_indexes WHERE tablename = 'inventory_stocklevel'")
    assert len(indexes) >= 3
    changed = {"on_hand", "reserved", "available", "version", "updated_at", "last_movement_at"}
    for (definition,) in indexes:
        words = definition.partition(" USING ")[2].replace("(", " ").replace(")", " ").replace(",", " ").split()
        assert not changed & set(words), definition


def test_pages_of_levels_have_room_for_new_row_versions() -> None:
    assert one("SELECT 'fillfactor=50' = ANY(reloptions) FROM pg_class WHERE relname = 'inventory_stocklevel'") == [
        (True,)
    ]


def test_available_is_the_databases_own_sum(rows: dict[str, Any]) -> None:
    assert one("SELECT on_hand, reserved, available FROM inventory_stocklevel") == [(8, 3, 5)]
    assert "available" in refusal(LEVEL.format("available = 1"), rows)
