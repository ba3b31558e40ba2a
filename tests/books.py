"""Rules that the books obey at any moment. Each is a query for the rows that break it."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from django.db import connection

# Rules check only what is newer than any archived row: of older rows, one side of a rule may be in a file.
_SINCE: Final = "(SELECT coalesce(max(to_at), '-infinity') FROM inventory_archivedfile)"

RULES: Final[Mapping[str, str]] = {
    "0 <= reserved <= on hand": """
        SELECT id, on_hand, reserved FROM inventory_stocklevel WHERE NOT (0 <= reserved AND reserved <= on_hand)
    """,
    "reserved is what the items of ACTIVE reservations hold": """
        SELECT level.id, level.reserved, held.quantity FROM inventory_stocklevel level
        LEFT JOIN (
            SELECT item.level_id, sum(item.quantity) AS quantity FROM reservations_reservationitem item
            JOIN reservations_reservation r ON r.id = item.reservation_id AND r.status = 'ACTIVE' GROUP BY 1
        ) held ON held.level_id = level.id
        WHERE level.reserved <> coalesce(held.quantity, 0)
    """,
    "reserved is what the items with held_until hold": """
        SELECT level.id, level.reserved, held.quantity FROM inventory_stocklevel level
        LEFT JOIN (
            SELECT level_id, sum(quantity) AS quantity FROM reservations_reservationitem
            WHERE held_until IS NOT NULL GROUP BY 1
        ) held ON held.level_id = level.id
        WHERE level.reserved <> coalesce(held.quantity, 0)
    """,
    "an item is held until its ACTIVE reservation expires, and not at all after": """
        SELECT item.id, r.status, r.expires_at, item.held_until FROM reservations_reservationitem item
        JOIN reservations_reservation r ON r.id = item.reservation_id
        WHERE item.held_until IS DISTINCT FROM CASE WHEN r.status = 'ACTIVE' THEN r.expires_at END
    """,
    "a reservation has items": """
        SELECT id, status FROM reservations_reservation r
        WHERE NOT EXISTS (SELECT FROM reservations_reservationitem WHERE reservation_id = r.id)
    """,
    "on hand is the opening and the movements after it": """
        SELECT level.id, level.on_hand, opening.on_hand, moved.quantity FROM inventory_stocklevel level
        LEFT JOIN inventory_ledgeropening opening ON opening.level_id = level.id
        LEFT JOIN (SELECT level_id, sum(quantity) AS quantity FROM inventory_movement GROUP BY 1) moved
        ON moved.level_id = level.id
        WHERE level.on_hand <> coalesce(opening.on_hand, 0) + coalesce(moved.quantity, 0)
    """,
    "what an opening stands for is archived": """
        SELECT m.id, m.created_at, opening.as_of FROM inventory_movement m
        JOIN inventory_ledgeropening opening ON opening.level_id = m.level_id AND m.created_at <= opening.as_of
    """,
    "each movement starts where the one before ended, the first at the opening": """
        SELECT * FROM (
            SELECT m.id, m.level_id, m.quantity_before,
                coalesce(lag(m.quantity_after) OVER w, opening.on_hand, 0) AS expected
            FROM inventory_movement m LEFT JOIN inventory_ledgeropening opening ON opening.level_id = m.level_id
            WINDOW w AS (PARTITION BY m.level_id ORDER BY m.created_at, m.id)
        ) chain WHERE quantity_before <> expected
    """,
    "each sold item has exactly one SHIPMENT, and each SHIPMENT of an order its item": f"""
        SELECT * FROM (
            SELECT item.level_id, r.order_id, r.consumed_at AS at,
                array_agg(-item.quantity ORDER BY -item.quantity) AS sold
            FROM reservations_reservationitem item JOIN reservations_reservation r ON r.id = item.reservation_id
            WHERE r.status = 'CONSUMED' AND r.consumed_at > {_SINCE} GROUP BY 1, 2, 3
        ) items FULL JOIN (
            SELECT level_id, reference AS order_id, created_at AS at, array_agg(quantity ORDER BY quantity) AS shipped
            FROM inventory_movement
            WHERE type = 'SHIPMENT' AND reference_type = 'order' AND created_at > {_SINCE} GROUP BY 1, 2, 3
        ) movements USING (level_id, order_id, at)
        WHERE sold IS DISTINCT FROM shipped
    """,
    "a transfer's movements add up to what left, came back, arrived and was lost": f"""
        WITH moved AS (
            SELECT reference, level_id, type, sum(quantity) AS quantity
            FROM inventory_movement WHERE reference_type = 'transfer' GROUP BY 1, 2, 3
        )
        SELECT line.id, line.quantity_shipped, line.quantity_returned, line.quantity_received, line.quantity_lost,
            here.quantity AS here, there.quantity AS there, lost.quantity AS lost
        FROM inventory_transferline line JOIN inventory_transfer t ON t.id = line.transfer_id
        LEFT JOIN moved here ON (here.reference, here.level_id, here.type)
            = ('tr-' || line.transfer_id, line.source_level_id, 'TRANSFER')
        LEFT JOIN moved there ON (there.reference, there.level_id, there.type)
            = ('tr-' || line.transfer_id, line.destination_level_id, 'TRANSFER')
        LEFT JOIN moved lost ON (lost.reference, lost.level_id, lost.type)
            = ('tr-' || line.transfer_id, line.destination_level_id, 'ADJUSTMENT')
        WHERE t.initiated_at > {_SINCE}
        AND (coalesce(here.quantity, 0), coalesce(there.quantity, 0), coalesce(lost.quantity, 0)) IS DISTINCT FROM (
            line.quantity_returned - line.quantity_shipped, line.quantity_received + line.quantity_lost,
            -line.quantity_lost)
    """,
    "over all warehouses, what transfers took off is in transit": f"""
        SELECT moved.quantity, away.quantity FROM (
            SELECT coalesce(sum(quantity), 0) AS quantity FROM inventory_movement WHERE type = 'TRANSFER'
                AND reference NOT IN (SELECT 'tr-' || id FROM inventory_transfer WHERE initiated_at <= {_SINCE})
        ) moved, (
            SELECT coalesce(sum(in_transit), 0) AS quantity FROM inventory_transferline line
            JOIN inventory_transfer t ON t.id = line.transfer_id WHERE t.initiated_at > {_SINCE}
        ) away
        WHERE moved.quantity + away.quantity <> 0
    """,
    "a transfer's status agrees with its lines": """
        SELECT t.id, t.status, line.* FROM inventory_transfer t, LATERAL (
            SELECT count(*) AS lines, coalesce(sum(quantity), 0) AS quantity,
                coalesce(sum(quantity_shipped), 0) AS shipped, coalesce(sum(in_transit), 0) AS away,
                coalesce(sum(quantity_received), 0) AS received, coalesce(sum(quantity_lost), 0) AS lost
            FROM inventory_transferline WHERE transfer_id = t.id
        ) line
        WHERE lines = 0 AND t.status NOT IN ('PENDING', 'CANCELLED')
            OR shipped NOT IN (0, quantity) OR (shipped > 0) <> (t.shipped_at IS NOT NULL)
            OR NOT CASE t.status
                WHEN 'PENDING' THEN shipped = 0
                WHEN 'IN_TRANSIT' THEN away > 0 AND received = 0 AND lost = 0
                WHEN 'PARTIALLY_RECEIVED' THEN away > 0 AND received > 0 AND lost = 0
                WHEN 'RECEIVED' THEN away = 0 AND received + lost > 0
                WHEN 'CANCELLED' THEN away = 0 AND received = 0 AND lost = 0 END
    """,
    "each command of a transfer has one audit entry, and one event if it moved anything": f"""
        SELECT t.id, done.*, recorded.*, published.* FROM inventory_transfer t, LATERAL (
            SELECT (t.shipped_at IS NOT NULL)::int AS sent,
                (SELECT count(DISTINCT movement.created_at) FROM inventory_transferline line
                    JOIN inventory_movement movement ON movement.level_id = line.destination_level_id
                        AND movement.reference_type = 'transfer' AND movement.reference = 'tr-' || t.id
                    WHERE line.transfer_id = t.id) AS arrived,
                (t.status = 'CANCELLED' OR EXISTS (
                    SELECT FROM inventory_transferline
                    WHERE transfer_id = t.id AND quantity_returned > 0))::int AS ended
        ) done, LATERAL (
            SELECT count(*) FILTER (WHERE action = 'inventory_transfer_created') AS created,
                count(*) FILTER (WHERE action = 'inventory_transfer_sent') AS sent,
                count(*) FILTER (WHERE action IN ('inventory_transfer_received', 'inventory_transfer_closed'))
                    AS arrived,
                count(*) FILTER (WHERE action = 'inventory_transfer_cancelled') AS ended
            FROM audit_auditentry WHERE subject_id = t.id
        ) recorded, LATERAL (
            SELECT count(*) FILTER (WHERE payload->>'change' = 'SENT') AS sent,
                count(*) FILTER (WHERE payload->>'change' IN ('RECEIVED', 'CLOSED')) AS arrived,
                count(*) FILTER (WHERE payload->>'change' = 'CANCELLED') AS ended
            FROM audit_outboxevent WHERE aggregateid = 'tr-' || t.id AND type = 'InventoryTransferredEvent'
        ) published
        WHERE t.initiated_at > {_SINCE} AND (recorded.created <> 1
            OR (recorded.sent, recorded.arrived, recorded.ended) <> (done.sent, done.arrived, done.ended)
            OR (published.sent, published.arrived, published.ended)
                <> (done.sent, done.arrived, done.ended * done.sent))
    """,
    "status agrees with the times": """
        SELECT id, status, created_at, expires_at, extended_at, consumed_at, released_at FROM reservations_reservation
        WHERE NOT CASE status
            WHEN 'ACTIVE' THEN consumed_at IS NULL AND released_at IS NULL
            WHEN 'CONSUMED' THEN released_at IS NULL AND order_id IS NOT NULL
                AND (consumed_at < expires_at OR reacquired_from_id IS NOT NULL)
            WHEN 'RELEASED' THEN consumed_at IS NULL AND released_at < expires_at
            WHEN 'EXPIRED' THEN consumed_at IS NULL AND released_at >= expires_at END IS TRUE
    """,
    "each transition has exactly one audit entry": f"""
        SELECT * FROM (
            SELECT id AS subject_id, 'inventory_reservation_created' AS action, 1::bigint AS happened
            FROM reservations_reservation WHERE created_at > {_SINCE}
            UNION ALL SELECT id, 'inventory_reservation_extended', 1 FROM reservations_reservation
            WHERE extended_at > {_SINCE}
            UNION ALL SELECT id, 'inventory_reservation_' || lower(status), 1 FROM reservations_reservation
            WHERE status <> 'ACTIVE' AND coalesce(consumed_at, released_at) > {_SINCE}
            UNION ALL SELECT level_id, 'inventory_stock_adjusted', count(*) FROM inventory_movement
            WHERE adjustment_id IS NOT NULL AND created_at > {_SINCE} GROUP BY 1
        ) transitions FULL JOIN (
            SELECT subject_id, action, count(*) AS recorded FROM audit_auditentry
            WHERE action IN ('inventory_reservation_created', 'inventory_reservation_extended',
                'inventory_reservation_released', 'inventory_reservation_consumed', 'inventory_reservation_expired',
                'inventory_stock_adjusted') AND at > {_SINCE} GROUP BY 1, 2
        ) entries USING (subject_id, action)
        WHERE happened IS DISTINCT FROM recorded
    """,
    "each transition has exactly one event": f"""
        SELECT * FROM (
            SELECT 'res-' || id AS key, 'InventoryReservedEvent' AS type, 1 + (
                SELECT count(*) FROM audit_auditentry
                WHERE subject_id = r.id AND action = 'inventory_reservation_changed') AS happened
            FROM reservations_reservation r WHERE created_at > {_SINCE}
            UNION ALL SELECT 'res-' || id, 'InventoryExtendedEvent', 1 FROM reservations_reservation
            WHERE extended_at > {_SINCE}
            UNION ALL SELECT 'res-' || id, 'InventoryConsumedEvent', 1 FROM reservations_reservation
            WHERE consumed_at > {_SINCE}
            UNION ALL SELECT 'res-' || id, 'InventoryReleasedEvent', 1 FROM reservations_reservation
            WHERE released_at > {_SINCE}
            UNION ALL SELECT level_id::text, 'StockAdjustedEvent', count(*) FROM inventory_movement
            WHERE type <> 'TRANSFER' AND reference_type <> 'transfer'
                AND NOT (type = 'SHIPMENT' AND reference_type = 'order') AND created_at > {_SINCE} GROUP BY 1
        ) transitions FULL JOIN (
            SELECT aggregateid AS key, type, count(*) AS published FROM audit_outboxevent
            WHERE type IN ('InventoryReservedEvent', 'InventoryExtendedEvent', 'InventoryConsumedEvent',
                'InventoryReleasedEvent', 'StockAdjustedEvent') AND created_at > {_SINCE} GROUP BY 1, 2
        ) events USING (key, type)
        WHERE happened IS DISTINCT FROM published
    """,
    "each difference of a posted count is one movement, and each movement of a count its difference": f"""
        SELECT * FROM (
            SELECT line.level_id, 'cnt-' || line.count_id AS reference, line.posted_difference AS counted
            FROM inventory_stockcountline line JOIN inventory_stockcount c ON c.id = line.count_id
            WHERE c.posted_at > {_SINCE} AND line.posted_difference <> 0
        ) lines FULL JOIN (
            SELECT level_id, reference, quantity AS moved FROM inventory_movement
            WHERE reference_type = 'count' AND created_at > {_SINCE}
        ) movements USING (level_id, reference)
        WHERE counted IS DISTINCT FROM moved
    """,
    "a line is open for as long as its count is": """
        SELECT line.id, line.is_open, c.status FROM inventory_stockcountline line
        JOIN inventory_stockcount c ON c.id = line.count_id WHERE line.is_open <> (c.status = 'OPEN')
    """,
    "an incident broke at least what was missing": """
        SELECT incident.id, incident.missing_units, broken.quantity FROM reservations_shortageincident incident
        LEFT JOIN (SELECT incident_id, sum(quantity) AS quantity FROM reservations_brokenhold GROUP BY 1) broken
        ON broken.incident_id = incident.id WHERE incident.missing_units > coalesce(broken.quantity, 0)
    """,
    "what gave way to a shortage is released, published once, and in an incident": f"""
        SELECT * FROM (
            SELECT id, 1::bigint AS released FROM reservations_reservation
            WHERE status = 'RELEASED' AND reason = 'shortage' AND released_at > {_SINCE}
        ) holds FULL JOIN (
            SELECT DISTINCT broken.reservation_id AS id, 1::bigint AS broken FROM reservations_brokenhold broken
            JOIN reservations_shortageincident incident ON incident.id = broken.incident_id
            WHERE incident.created_at > {_SINCE}
        ) broken USING (id) FULL JOIN (
            SELECT substr(aggregateid, 5)::uuid AS id, count(*) AS published FROM audit_outboxevent
            WHERE type = 'InventoryReservationBrokenEvent' AND created_at > {_SINCE} GROUP BY 1
        ) events USING (id)
        WHERE released IS DISTINCT FROM broken OR released IS DISTINCT FROM published
    """,
}
_MOST_ROWS_SHOWN: Final = 5


def broken_rules(cursor: Any = None) -> dict[str, list[tuple[Any, ...]]]:
    """The broken rules, each with some of the rows that break it.

    Uses Django's connection, or a psycopg cursor of another database.
    """
    if cursor is None:
        with connection.cursor() as own:
            # A service's transaction, which may be this test's, bounds its statements by the time of a request.
            own.execute("SELECT set_config('statement_timeout', '0', true)")
            return broken_rules(own)
    broken = {}
    for rule, query in RULES.items():
        cursor.execute(query)
        if rows := cursor.fetchmany(_MOST_ROWS_SHOWN):
            broken[rule] = rows
    return broken


def assert_books_balance(database: "psycopg.Connection[Any] | None" = None) -> None:
    """Check that no rule is broken."""
    broken = broken_rules() if database is None else broken_rules(database.cursor())
    assert not broken, "\n".join(f"{rule}:\n    " + "\n    ".join(map(str, rows)) for rule, rows in broken.items())
