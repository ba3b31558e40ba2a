"""The routes of shortage incidents. Each decodes the request, calls one service and encodes the answer."""

from typing import ClassVar
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, answered, decode, decode_query, id_in_path, rendered, respond
from audit.api.paging import page_of
from audit.api.schema import describe
from audit.api.versions import respond_unless_known
from audit.idempotency import StoredAnswer
from audit.identifiers import INCIDENT, NIL, RESERVATION, parse_copied_id, public_id
from audit.roles import Capability
from inventory.api.filters import require_warehouse
from inventory.errors import UnknownWarehouse
from inventory.holds_port import ShortageCause
from reservations.api.shortages import contract
from reservations.errors import IncidentResolved
from reservations.models import ShortageIncident
from reservations.services.shortages import incidents
from reservations.services.shortages.incidents import IncidentDetails


def _incident_id(text: str) -> UUID:
    return id_in_path(INCIDENT, text, "an incident")


def _incident(shown: IncidentDetails) -> contract.IncidentOut:
    incident = shown.incident
    product = incident.level.product
    return contract.IncidentOut(
        incident_id=incident.public_id,
        status=incident.status,  # type: ignore[arg-type]
        product_id=product.parent_id or product.id,
        variant_id=product.id if product.parent_id else UNSET,
        warehouse_id=incident.level.warehouse.code,
        missing_units=incident.missing_units,
        cause=incident.cause_type,  # type: ignore[arg-type]
        cause_id=ShortageCause(incident.cause_type, incident.cause_id).public_id,  # type: ignore[arg-type]
        broken_reservations=[
            contract.BrokenHoldOut(
                reservation_id=public_id(RESERVATION, row.reservation_id),
                order_id=row.order_id,
                cart_id=row.cart_id,
                customer_id=row.customer_id,
                quantity=row.quantity,
            )
            for row in shown.broken
        ],
        hidden_units=shown.hidden_units,
        created_at=incident.created_at,
        created_by=incident.created_by,
        request_id=incident.request_id,
        resolved_at=incident.resolved_at,
        resolved_by=incident.resolved_by,
        resolution=incident.resolution,
    )


def _resolved(shown: IncidentDetails) -> StoredAnswer:
    return rendered(_incident(shown))


class IncidentsView(ApiView):
    """The list of incidents."""

    allowed: ClassVar = {"GET": Capability.READ_COUNTS}

    @describe(
        "listIncidents",
        "List incidents in which reservations were broken, the newest first",
        query=contract.IncidentsQuery,
        answers={200: contract.IncidentPageOut},
        refusals=(UnknownWarehouse,),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists the incidents in which reservations were broken, the newest first."""
        query = decode_query(request, contract.IncidentsQuery)
        actor = self.actor(request)
        require_warehouse(actor, query.warehouse_id)
        found = ShortageIncident.objects.visible_to(actor).select_related("level__product", "level__warehouse")
        if query.status is not None:
            found = found.filter(status=query.status)
        if query.warehouse_id is not None:
            found = found.filter(level__warehouse__code=query.warehouse_id)
        if query.product_id is not None:
            found = found.filter(Q(level__product=query.product_id) | Q(level__product__parent=query.product_id))
        if query.cause_id is not None:
            found = found.filter(cause_id=parse_copied_id(query.cause_id) or NIL)
        page, following = page_of(found, query, newest_first=True)
        items = [_incident(shown) for shown in incidents.show(page, actor)]
        return respond(contract.IncidentPageOut(items=items, next=following))


class IncidentView(ApiView):
    """One incident."""

    allowed: ClassVar = {"GET": Capability.READ_COUNTS}

    @describe("readIncident", "Read an incident", answers={200: contract.IncidentOut}, tagged=True)
    def get(self, request: Request, incident_id: str) -> HttpResponse:
        """Reads an incident."""
        incident = incidents.read_incident(_incident_id(incident_id), self.actor(request))
        return respond_unless_known(request, _incident(incident))


class ResolveIncidentView(ApiView):
    """Resolve an incident."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "resolveIncident",
        "Say how an incident was resolved, once",
        body=contract.ResolveIncidentIn,
        answers={200: contract.IncidentOut},
        refusals=(IncidentResolved,),
        idempotent=True,
    )
    def post(self, request: Request, incident_id: str) -> HttpResponse:
        """Records how an incident was resolved. It can be done once."""
        body = decode(request, contract.ResolveIncidentIn)
        resolve = incidents.ResolveRequest(
            actor=self.actor(request),
            incident_id=_incident_id(incident_id),
            resolution=body.resolution,
            claim=self.claim(request, _resolved),
        )
        return answered(incidents.resolve_incident(resolve), _resolved)
