"""Archive closed reservations, and list all series that are archived (see
``inventory.services.bookkeeping.archiving``)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from audit.db import columns
from inventory.models import ArchivedFile
from inventory.services.bookkeeping import archiving
from inventory.services.bookkeeping.archiving import Series

# An expired reservation is archived only together with the one that re-acquired it: a repeated late payment must find
# the sale that it made. Reservations of open incidents are not archived: staff need them to resolve the incident.
_CHOSEN: Final = """
SELECT r.id, heir.id AS heir_id FROM reservations_reservation r
LEFT JOIN reservations_reservation heir ON heir.reacquired_from_id = r.id
WHERE r.status <> 'ACTIVE' AND coalesce(r.consumed_at, r.released_at) < %(before)s AND r.reacquired_from_id IS NULL
    AND (heir.id IS NULL OR heir.consumed_at < %(before)s)
    AND NOT EXISTS (
        SELECT FROM reservations_brokenhold broken
        JOIN reservations_shortageincident incident ON incident.id = broken.incident_id
        WHERE incident.status = 'OPEN' AND broken.reservation_id = r.id
    )
"""
_READ: Final = f"""
WITH chosen AS ({_CHOSEN} ORDER BY r.id LIMIT %(limit)s),
ids AS (SELECT id FROM chosen UNION ALL SELECT heir_id FROM chosen WHERE heir_id IS NOT NULL)
SELECT r.id, coalesce(r.consumed_at, r.released_at), (to_jsonb(r) || jsonb_build_object('items', (
    SELECT jsonb_agg(to_jsonb(item) ORDER BY item.id) FROM reservations_reservationitem item
    WHERE item.reservation_id = r.id
)))::text
FROM ids JOIN reservations_reservation r ON r.id = ids.id ORDER BY r.id
"""  # noqa: S608 - constants only
_LOCK: Final = "SELECT FROM reservations_reservation WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_DELETE: Final = """
WITH going AS (
    SELECT r.id FROM reservations_reservation r WHERE r.id = ANY(%s) AND NOT EXISTS (
        SELECT FROM reservations_reservation heir WHERE heir.reacquired_from_id = r.id AND heir.id <> ALL(%s)
    )
), items AS (
    DELETE FROM reservations_reservationitem item USING going WHERE item.reservation_id = going.id
)
DELETE FROM reservations_reservation r USING going WHERE r.id = going.id
"""


def _delete(ids: Sequence[UUID]) -> int:
    """Delete reservations and their items. Locks the reservations by id.

    One that was re-acquired after the file was written is kept, and archived again later, with its successor.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [columns.uuids(ids)])
        cursor.execute(_DELETE, [columns.uuids(ids), columns.uuids(ids)])
        return int(cursor.rowcount)


def reservations() -> Series:
    """Closed reservations with their items, in the order of their ids."""
    return Series(
        kind=ArchivedFile.Kind.RESERVATIONS,
        days=settings.RESERVATION_RETENTION_DAYS,
        read=_READ,
        count=f"SELECT count(*) + count(heir_id) FROM ({_CHOSEN}) chosen",  # noqa: S608
        present="SELECT count(*) FROM reservations_reservation WHERE id = ANY(%s)",
        delete=_delete,
    )


def every_series() -> list[Series]:
    """All series that are archived. Audit entries come last, because they describe changes of the others."""
    return [archiving.movements(), reservations(), archiving.audit_entries()]
