"""The routes of holds. Each decodes the request, calls one service and encodes the answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from rest_framework.request import Request

from audit.actors import Actor
from audit.api.http import ApiView, Pending, decode, decode_query, id_in_path, rendered
from audit.api.paging import BY_ID, BY_MOMENT, page_of
from audit.api.schema import describe
from audit.idempotency import StoredAnswer
from audit.identifiers import RESERVATION
from audit.roles import Capability
from inventory.api.filters import store_ids
from inventory.combining import LongReading, Reading
from inventory.errors import UnknownStore
from reservations import group_commit
from reservations.api.holds import answers, contract, refusals
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.models.holds import ReservationQuerySet
from reservations.services.holds import lists, placing, reading, snapshots
from reservations.services.holds.documents import Hold
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.lists import ListRequest
from reservations.services.holds.placing import HoldRequest
from reservations.services.holds.reading import ReadRequest
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from reservations.services.holds.updates import read_updates


class ReserveView(ApiView):
    """Hold stock."""

    allowed: ClassVar = {"POST": Capability.SELL}
    on_loop: ClassVar = frozenset({"POST"})
    created: ClassVar = "/api/v1/inventory/reservations/{reservationId}"

    @describe(
        "reserve",
        "Reserve stock",
        body=contract.ReserveIn,
        query=contract.ReserveQuery,
        answers={200: contract.PlanOut, 201: contract.HeldOut},
        refusals=refusals.RESERVE,
        idempotent=True,
    )
    def post(self, request: Request) -> Pending:
        """Holds all lines for a cart or an order, or none. What is held is no longer sold to others until it
        expires."""
        body = decode(request, contract.ReserveIn)
        is_plan = decode_query(request, contract.ReserveQuery).dry_run
        hold_request = HoldRequest(
            actor=self.actor(request),
            lines=lines_of(body.items),
            store=body.store_id,
            cart_id=body.cart_id,
            order_id=body.order_id,
            customer_id=body.customer_id,
            timeout_minutes=body.timeout_minutes,
            additional=body.additional,
            claim=None if is_plan else self.claim(request, answers.reserved),
        )
        if is_plan:
            return Pending(LongReading(placing.plan_holds, hold_request), answers.planned)
        return Pending(group_commit.place_hold(hold_request), answers.reserved)


def lines_of(items: Sequence[contract.LineIn]) -> tuple[RequestLine, ...]:
    """The lines of a body, as services take them."""
    return tuple(
        RequestLine(item.product_id, item.variant_id, item.quantity, item.warehouse_id, item.unit_price)
        for item in items
    )


class ExtendView(ApiView):
    """Extend a hold."""

    allowed: ClassVar = {"POST": Capability.SELL}
    on_loop: ClassVar = frozenset({"POST"})

    @describe(
        "extend",
        "Extend a reservation, or all of a cart or order, once",
        body=contract.ExtendIn,
        answers={200: contract.ExtendResult},
        refusals=refusals.EXTEND,
        idempotent=True,
    )
    def post(self, request: Request) -> Pending:
        """Moves the end of reservations: of one, or of all of a cart or an order, all or none. Each can be extended
        once."""
        body = decode(request, contract.ExtendIn)
        selector = _selector(body)
        render = answers.extended_one if selector.reservation_id else answers.extended
        extension = ExtendRequest(
            actor=self.actor(request), selector=selector, minutes=body.minutes, claim=self.claim(request, render)
        )
        return Pending(group_commit.extend_hold(extension), render)


def _selector(body: contract.ExtendIn | contract.ReleaseIn) -> Selector:
    """What a body selects."""
    identifier = _reservation_id(body.reservation_id) if body.reservation_id else None
    return Selector(identifier, body.cart_id, body.order_id)


def _reservation_id(text: str) -> UUID:
    """Parse a ``res-<uuid>``. Raises ReservationNotFound for any other text."""
    return id_in_path(RESERVATION, text, "a reservation", ReservationNotFound)


class ReleaseView(ApiView):
    """Release holds."""

    allowed: ClassVar = {"POST": Capability.SELL}
    on_loop: ClassVar = frozenset({"POST"})

    @describe(
        "release",
        "Release a reservation, or all of a cart or order",
        body=contract.ReleaseIn,
        answers={200: contract.ReleaseResult},
        refusals=refusals.RELEASE,
        idempotent=True,
    )
    def post(self, request: Request) -> Pending:
        """Gives the stock of reservations back: of one, or of all of a cart or an order. One that has ended already
        stays as it is."""
        body = decode(request, contract.ReleaseIn)
        selector = _selector(body)
        render = answers.released_one if selector.reservation_id else answers.released
        release = ReleaseRequest(
            actor=self.actor(request), selector=selector, reason=body.reason, claim=self.claim(request, render)
        )
        return Pending(group_commit.release_hold(release), render)


class ConsumeView(ApiView):
    """Consume holds as a sale."""

    allowed: ClassVar = {"POST": Capability.SELL}
    on_loop: ClassVar = frozenset({"POST"})

    @describe(
        "consume",
        "Consume reservations for an order, exactly once",
        body=contract.ConsumeIn,
        answers={200: contract.ConsumeResult},
        refusals=refusals.CONSUME,
        idempotent=True,
    )
    def post(self, request: Request) -> Pending:
        """Turns reservations into the sale of an order, all or none, exactly once. Sent again for the same order, it
        answers the same."""
        body = decode(request, contract.ConsumeIn)
        identifier = _reservation_id(body.reservation_id) if body.reservation_id else None
        by_order = None if identifier or body.cart_id else body.order_id
        render = answers.consumed_one if identifier else answers.consumed
        consume = ConsumeRequest(
            actor=self.actor(request),
            order_id=body.order_id,
            selector=Selector(identifier, body.cart_id, by_order),
            reacquire=body.reacquire,
            claim=self.claim(request, render),
        )
        return Pending(group_commit.consume_hold(consume), render)


class ReservationView(ApiView):
    """One reservation."""

    allowed: ClassVar = {"GET": Capability.READ}
    on_loop: ClassVar = frozenset({"GET"})

    @describe(
        "readReservation",
        "Read a reservation",
        answers={200: contract.ReservationOut},
        refusals=refusals.READ,
        tagged=True,
    )
    def get(self, request: Request, reservation_id: str) -> Pending:
        """Reads a reservation in its present state."""
        read = ReadRequest(self.actor(request), _reservation_id(reservation_id))
        return Pending(Reading(reading.read_holds, read), _read, is_tagged=True)


def _read(found: tuple[Hold, datetime]) -> StoredAnswer:
    return rendered(answers.read(*found))


class ReservationsView(ApiView):
    """The list of reservations."""

    allowed: ClassVar = {"GET": Capability.READ}
    on_loop: ClassVar = frozenset({"GET"})

    @describe(
        "listReservations",
        "List reservations, the newest first",
        query=contract.ReservationsQuery,
        answers={200: contract.ReservationPageOut},
        refusals=(UnknownStore,),
    )
    def get(self, request: Request) -> Pending:
        """Lists reservations, the newest first."""
        query = decode_query(request, contract.ReservationsQuery)
        asked = _PageRequest(self.actor(request), query)
        is_combined = _is_of_cart_or_order(query)
        return Pending(Reading(_read_lists, asked) if is_combined else LongReading(_read_pages, asked), rendered)


def _is_of_cart_or_order(query: contract.ReservationsQuery) -> bool:
    """Whether the query asks for the first page of a cart or an order, and for nothing else."""
    asked = contract.ReservationsQuery(cart_id=query.cart_id, order_id=query.order_id, limit=query.limit)
    return query == asked and (query.cart_id or query.order_id) is not None


class _PageRequest(msgspec.Struct, frozen=True, gc=False):
    actor: Actor
    query: contract.ReservationsQuery


def _read_lists(requests: Sequence[_PageRequest]) -> list[contract.ReservationPageOut]:
    """The first pages of carts and orders. Made here and not on the event loop: they may have thousands of items."""
    asked = [
        ListRequest(actor, query.limit + 1, query.cart_id, query.order_id)
        for actor, query in ((request.actor, request.query) for request in requests)
    ]
    return [_listed(request.query, *found) for request, found in zip(requests, lists.list_holds(asked), strict=True)]


def _listed(query: contract.ReservationsQuery, rows: Sequence[Hold], now: datetime) -> contract.ReservationPageOut:
    page, following = BY_ID.page(rows, query, lambda hold: hold.id)
    return contract.ReservationPageOut(items=[answers.read(hold, now) for hold in page], next=following)


def _read_pages(requests: Sequence[_PageRequest]) -> list[contract.ReservationPageOut]:
    """The page of each request. Raises UnknownStore, and Invalid for a cursor of another list."""
    return [_page(request.actor, request.query) for request in requests]


def _page(actor: Actor, query: contract.ReservationsQuery) -> contract.ReservationPageOut:
    found = _matching(actor, query)
    if query.updated_since is None:
        rows, following = page_of(found.only("pk"), query, newest_first=True)
        ids = [row.pk for row in rows]
    else:
        stores, behind = store_ids(actor, query.store_id), BY_MOMENT.after(query)
        updates = read_updates(found, stores, query.updated_since, behind=behind, limit=query.limit + 1)
        page, following = BY_MOMENT.page(updates, query, lambda update: update)
        ids = [id_ for _, id_ in page]
    read, now = snapshots.read(ids)
    items = [answers.read(read[id_], now) for id_ in ids if id_ in read]  # Others were archived in between.
    return contract.ReservationPageOut(items=items, next=following)


def _matching(actor: Actor, query: contract.ReservationsQuery) -> ReservationQuerySet:
    found = Reservation.objects.visible_to(actor).matching(
        cart_id=query.cart_id,
        order_id=query.order_id,
        customer_id=query.customer_id,
        product_id=query.product_id,
        variant_id=query.variant_id,
    )
    if query.status:
        found = found.in_state(query.status)
    if query.ids is not None:
        found = found.filter(pk__in=query.ids)
    if query.store_id is not None:
        found = found.filter(store_id__in=store_ids(actor, query.store_id))
    return found
