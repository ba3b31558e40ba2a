"""Shortage incidents: the record that holds on a level were broken, open until staff resolve it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import one_statement, write
from audit.errors import NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import INCIDENT, public_id
from audit.recording import Entry, record
from inventory import transactions
from inventory.holds_port import ShortageCause
from inventory.locking import read_clock
from reservations import actions
from reservations.errors import IncidentResolved
from reservations.models import BrokenHold, Reservation, ShortageIncident
from reservations.services.holds.documents import HeldItem, Hold


@dataclass(frozen=True, slots=True)
class Incident:
    """A new incident: ``missing`` units of a level, and the holds that were broken, as they were before."""

    level_id: UUID
    missing: int
    holds: tuple[Hold, ...]
    id: UUID = field(default_factory=uuid7)

    @property
    def public_id(self) -> str:
        """``inc-<uuid>``."""
        return public_id(INCIDENT, self.id)

    def broken_items(self) -> list[tuple[Hold, HeldItem]]:
        """The holds with the item that each held on this level."""
        return [(hold, item) for hold in self.holds for item in hold.items if item.level_id == self.level_id]


_INSERT_INCIDENTS: Final = """
INSERT INTO reservations_shortageincident (id, level_id, missing_units, cause_type, cause_id, created_at, created_by,
    request_id, status)
SELECT id, level_id, missing_units, %s, %s, %s, %s, %s, 'OPEN'
FROM unnest(%s::uuid[], %s::uuid[], %s::int[]) AS t (id, level_id, missing_units)
"""

_INSERT_BROKEN: Final = """
INSERT INTO reservations_brokenhold (id, incident_id, reservation_id, order_id, cart_id, customer_id, quantity)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[])
"""


def insert(incidents: Sequence[Incident], cause: ShortageCause, actor: Actor, *, now: datetime) -> None:
    """Write incidents and the holds broken in them: two statements. Requires the levels' locks."""
    if not incidents:
        return
    write(
        _INSERT_INCIDENTS,
        [
            cause.type,
            cause.id,
            now,
            actor.name,
            actor.request_id,
            columns.uuids(incident.id for incident in incidents),
            columns.uuids(incident.level_id for incident in incidents),
            columns.ints(incident.missing for incident in incidents),
        ],
    )
    broken = [(incident, hold, item) for incident in incidents for hold, item in incident.broken_items()]
    write(
        _INSERT_BROKEN,
        [
            columns.uuids(uuid7() for _ in broken),
            columns.uuids(incident.id for incident, _, _ in broken),
            columns.uuids(hold.id for _, hold, _ in broken),
            columns.texts(hold.order_id for _, hold, _ in broken),
            columns.texts(hold.cart_id for _, hold, _ in broken),
            columns.texts(hold.customer_id for _, hold, _ in broken),
            columns.ints(item.quantity for _, _, item in broken),
        ],
    )


def opened_entry(incident: Incident, cause: ShortageCause, actor: Actor) -> Entry:
    """The audit entry of an incident."""
    broken = incident.broken_items()
    item = broken[0][1]
    variant = {"variantId": item.variant_id} if item.variant_id else {}
    changes = {
        "productId": item.product_id,
        **variant,
        "warehouseId": item.warehouse,
        "missingUnits": incident.missing,
        "cause": cause.public_id,
        "reservations": [hold.public_id for hold, _ in broken],
    }
    return Entry(actor, actions.SHORTAGE_FOUND, incident.id, changes)


@dataclass(frozen=True, slots=True)
class ResolveRequest:
    """One request to resolve an incident."""

    actor: Actor
    incident_id: UUID
    resolution: str
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """An incident as it is shown: with its level and its broken holds. ``hidden_units`` are the units of broken holds
    of stores out of the actor's reach, which are not listed."""

    incident: ShortageIncident
    broken: tuple[BrokenHold, ...]
    hidden_units: int


def read_incident(incident_id: UUID, actor: Actor) -> IncidentDetails:
    """Read one incident. Raises NotFound, also if its warehouse is out of the actor's reach."""
    found = ShortageIncident.objects.visible_to(actor).filter(pk=incident_id)
    (shown,) = show(list(found.select_related(*_LEVEL)), actor) or _refuse()
    return shown


_LEVEL: Final = ("level__product", "level__warehouse")


def _refuse() -> list[IncidentDetails]:
    raise NotFound("There is no such incident.")


def show(incidents: Sequence[ShortageIncident], actor: Actor) -> list[IncidentDetails]:
    """Load the incidents' broken holds, listing only those of stores in the actor's reach. Two queries.

    A broken hold whose reservation is archived is shown only to actors who see all stores.
    """
    broken: dict[UUID, list[BrokenHold]] = {incident.id: [] for incident in incidents}
    for row in BrokenHold.objects.filter(incident__in=broken).order_by("pk"):
        broken[row.incident_id].append(row)
    if not actor.store_codes:
        return [IncidentDetails(incident, tuple(broken[incident.id]), 0) for incident in incidents]
    ids = {row.reservation_id for rows in broken.values() for row in rows}
    seen = set(Reservation.objects.visible_to(actor).filter(pk__in=ids).values_list("pk", flat=True))
    return [
        IncidentDetails(
            incident,
            tuple(row for row in broken[incident.id] if row.reservation_id in seen),
            sum(row.quantity for row in broken[incident.id] if row.reservation_id not in seen),
        )
        for incident in incidents
    ]


def resolve_incident(request: ResolveRequest) -> IncidentDetails | StoredAnswer:
    """Record who resolved an incident and how, once.

    Raises NotFound, IncidentResolved, Busy and the errors of claims. Locks: claim, the incident.
    """
    return transactions.run(lambda: _resolve(request))


def _resolve(request: ResolveRequest) -> IncidentDetails | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM reservations_shortageincident WHERE id = %s FOR NO KEY UPDATE", [request.incident_id]
        )
    found = ShortageIncident.objects.visible_to(request.actor).filter(pk=request.incident_id).select_related(*_LEVEL)
    incident = found.first()
    if incident is None:
        raise NotFound("There is no such incident.")
    if incident.status == ShortageIncident.Status.RESOLVED:
        raise IncidentResolved(f"{incident.public_id} was resolved by {incident.resolved_by}.")
    now = read_clock()
    incident.status, incident.resolved_at = ShortageIncident.Status.RESOLVED, now
    incident.resolved_by, incident.resolution = request.actor.name, request.resolution
    (shown,) = show([incident], request.actor)
    with one_statement():
        write(
            "UPDATE reservations_shortageincident SET status = 'RESOLVED', resolved_at = %s, resolved_by = %s,"
            " resolution = %s WHERE id = %s",
            [now, incident.resolved_by, incident.resolution, incident.id],
        )
        changes = {"resolution": request.resolution}
        record([Entry(request.actor, actions.SHORTAGE_RESOLVED, incident.id, changes)], now=now)
        idempotency.store_all([(request.claim, shown)], now=now)
    return shown
