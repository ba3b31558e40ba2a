"""Reading which reservations were updated since a moment, in the order of their last updates. No writes, no locks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from audit.db import columns
from reservations.models import Reservation
from reservations.models.holds import updated_at

Update = tuple[datetime, UUID]
"""When a reservation was last updated, and its id."""

# The index begins with the store, so that reading one store doesn't read the others. Each store's reservations are in
# order there; those of several stores are merged.
_OF_STORES: Final = """
SELECT found.updated, found.id FROM unnest(%s::uuid[]) AS store (id) CROSS JOIN LATERAL ({of_store}) AS found
ORDER BY 1, 2 LIMIT %s
"""


def read_updates(
    found: QuerySet[Reservation], store_ids: Sequence[UUID], since: datetime, *, behind: Update | None, limit: int
) -> list[Update]:
    """At most ``limit`` updates of these reservations of these stores, the oldest first, after the given one.

    A reservation that is due was updated when it ended, and is once more when that is recorded. Two queries.
    """
    is_due = Q(status="ACTIVE", expires_at__lte=Now())
    of_store = found.filter(store_id=RawSQL("store.id", ())).exclude(is_due).annotate(updated=updated_at())
    page = _after(of_store, "updated", since, behind).order_by("updated", "id").values("updated", "id")[:limit]
    sql, parameters = page.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_OF_STORES.format(of_store=sql), [columns.uuids(store_ids), *parameters, limit])
        updates: list[Any] = cursor.fetchall()
    due = _after(found.filter(is_due, store_id__in=store_ids), "expires_at", since, behind)
    updates += due.order_by("expires_at", "id").values_list("expires_at", "id")[:limit]
    return sorted(updates)[:limit]


def _after(found: QuerySet[Any], moment: str, since: datetime, behind: Update | None) -> QuerySet[Any]:
    """Those updated since a moment, and after the given update."""
    if behind is None:
        return found.filter(**{f"{moment}__gte": since})
    at, id_ = behind
    later = Q(**{f"{moment}__gt": at}) | Q(**{moment: at, "id__gt": id_})
    return found.filter(later, **{f"{moment}__gte": max(at, since)})
