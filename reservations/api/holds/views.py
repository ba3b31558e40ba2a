"""The routes of holds. Each decodes the request, calls one service and encodes the answer."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

import msgspec
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.http import ApiView, Pending, answered, decode, decode_query, rendered, respond
from audit.api.paging import page_of
from audit.api.scalars import decode_scalar
from audit.api.schema import describe
from audit.api.texts import OpaqueId
from audit.api.versions import respond_unless_known
from audit.errors import Fault, Invalid
from audit.idempotency import StoredAnswer
from audit.identifiers import RESERVATION, parse_public_id, public_id
from audit.roles import Capability
from inventory.locking import read_clock
from reservations import group_commit
from reservations.api.holds import contract as holds_contract
from reservations.api.holds import refusals
from reservations.api.holds.contract import HeldOut, ItemOut, ReservationOut
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.services.holds import baskets, documents, placing
from reservations.services.holds.counting import CART_EMPTIED
from reservations.services.holds.documents import HeldItem, Hold, Status
from reservations.services.holds.placing import ExtendRequest, HoldRequest, PlacedHold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, Selector
from reservations.services.holds.sourcing import RequestLine


class ReserveView(ApiView):
    """Hold stock."""

    allowed: ClassVar = {"POST": Capability.SELL}

    @describe(
        "reserve",
        "Reserve stock",
        body=holds_contract.ReserveIn,
        query=holds_contract.ReserveQuery,
        answers={200: holds_contract.PlanOut, 201: holds_contract.HeldOut},
        refusals=refusals.RESERVE,
        idempotent=True,
    )
    def post(self, request: Request) -> HttpResponse | Pending:
        body = decode(request, holds_contract.ReserveIn)
        if body.cart_id is None and body.order_id is None:
            raise Invalid("Name a cartId or an orderId.", [Fault("/cartId", "invalid", "cartId or orderId is needed")])
        is_plan = decode_query(request, holds_contract.ReserveQuery).dry_run
        hold_request = HoldRequest(
            actor=self.actor(request),
            lines=_lines(body.items),
            store=body.store_id,
            cart_id=body.cart_id,
            order_id=body.order_id,
            customer_id=body.customer_id,
            timeout_minutes=body.timeout_minutes,
            claim=None if is_plan else self.claim(request, _reserved),
        )
        if is_plan:
            return respond(_planned(placing.plan_hold(hold_request)))
        return Pending(group_commit.place_hold(hold_request), _reserved)


def _lines(items: Sequence[holds_contract.LineIn]) -> tuple[RequestLine, ...]:
    return tuple(
        RequestLine(item.product_id, item.variant_id, item.quantity, item.warehouse_id, item.unit_price)
        for item in items
    )


def _item(item: HeldItem) -> ItemOut:
    return ItemOut(
        product_id=item.product_id,
        variant_id=item.variant_id or UNSET,
        quantity=item.quantity,
        warehouse_id=item.warehouse,
        unit_price=UNSET if item.unit_price is None else item.unit_price,
    )


def _items(hold: Hold, done: str | None = None) -> list[ItemOut]:
    """The items of a hold, with the flag ``done`` set for what a command did with them."""
    items = [_item(item) for item in hold.items]
    if done:
        for item in items:
            setattr(item, done, True)
    return items


def _seconds_left(hold: Hold, now: datetime) -> int:
    return max(0, int((hold.expires_at - now).total_seconds())) if hold.status == Status.ACTIVE else 0


def _held(held: PlacedHold, status: Literal["RESERVED", "EXTENDED"]) -> HeldOut:
    hold = held.hold
    return HeldOut(
        reservation_id=hold.public_id,
        store_id=hold.store,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        customer_id=hold.customer_id,
        status=status,
        items=_items(hold, "reserved"),
        expires_at=hold.expires_at,
        expires_in_seconds=_seconds_left(hold, held.now),
        created_at=hold.created_at,
    )


def _reserved(held: PlacedHold) -> StoredAnswer:
    return rendered(_held(held, "RESERVED"), 201 if held.is_new else 200)


def _extended(held: PlacedHold) -> StoredAnswer:
    return rendered(_held(held, "EXTENDED"))


def _planned(held: PlacedHold) -> holds_contract.PlanOut:
    return holds_contract.PlanOut(
        dry_run=True,
        store_id=held.hold.store,
        status="RESERVABLE",
        items=_items(held.hold),
        expires_at=held.hold.expires_at,
        expires_in_seconds=_seconds_left(held.hold, held.now),
    )


class ExtendView(ApiView):
    """Extend a hold."""

    allowed: ClassVar = {"POST": Capability.SELL}

    @describe(
        "extend",
        "Extend a reservation, once",
        body=holds_contract.ExtendIn,
        answers={200: holds_contract.HeldOut},
        refusals=refusals.EXTEND,
        idempotent=True,
    )
    def post(self, request: Request) -> HttpResponse:
        body = decode(request, holds_contract.ExtendIn)
        extension = ExtendRequest(
            actor=self.actor(request),
            reservation_id=_reservation_id(body.reservation_id),
            minutes=body.minutes,
            claim=self.claim(request, _extended),
        )
        return answered(placing.extend_hold(extension), _extended)


def _reservation_id(text: str) -> UUID:
    """Parse a ``res-<uuid>``. Raises ReservationNotFound for any other text."""
    identifier = parse_public_id(RESERVATION, text)
    if identifier is None:
        raise ReservationNotFound("There is no such reservation.")
    return identifier


def _released_one(hold: Hold) -> holds_contract.ReleasedOut:
    return holds_contract.ReleasedOut(
        reservation_id=hold.public_id,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        status="EXPIRED" if hold.status == Status.EXPIRED else "RELEASED",
        items=_items(hold, "released"),
        reason=hold.reason,
        released_at=hold.released_at,
    )


def _released(resolved: Resolved) -> StoredAnswer:
    return rendered(_released_one(resolved.holds[0]))


def _all_released(resolved: Resolved) -> StoredAnswer:
    reservations = [_released_one(hold) for hold in resolved.holds]
    return rendered(holds_contract.AllReleasedOut(status="RELEASED", reservations=reservations))


class ReleaseView(ApiView):
    """Release holds."""

    allowed: ClassVar = {"POST": Capability.SELL}

    @describe(
        "release",
        "Release a reservation, or all of a cart or order",
        body=holds_contract.ReleaseIn,
        answers={200: holds_contract.ReleasedOut | holds_contract.AllReleasedOut},
        refusals=refusals.RELEASE,
        idempotent=True,
    )
    def post(self, request: Request) -> Pending:
        body = decode(request, holds_contract.ReleaseIn)
        if sum(field is not None for field in (body.reservation_id, body.cart_id, body.order_id)) != 1:
            detail = "exactly one of reservationId, cartId and orderId is needed"
            raise Invalid(f"Say what to release: {detail}.", [Fault("/reservationId", "invalid", detail)])
        identifier = _reservation_id(body.reservation_id) if body.reservation_id else None
        render = _released if identifier else _all_released
        release = ReleaseRequest(
            actor=self.actor(request),
            selector=Selector(identifier, body.cart_id, body.order_id),
            reason=body.reason,
            claim=self.claim(request, render),
        )
        return Pending(group_commit.release_hold(release), render)


def _consumed_one(hold: Hold) -> holds_contract.ConsumedOut:
    return holds_contract.ConsumedOut(
        reservation_id=hold.public_id,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        status="CONSUMED",
        items=_items(hold, "consumed"),
        consumed_at=hold.consumed_at,
        reacquired_from=public_id(RESERVATION, hold.reacquired_from) if hold.reacquired_from else UNSET,
    )


def _consumed(resolved: Resolved) -> StoredAnswer:
    return rendered(_consumed_one(resolved.holds[0]))


def _all_consumed(resolved: Resolved) -> StoredAnswer:
    reservations = [_consumed_one(hold) for hold in resolved.holds]
    order_id = resolved.holds[0].order_id or ""
    return rendered(holds_contract.AllConsumedOut(status="CONSUMED", order_id=order_id, reservations=reservations))


class ConsumeView(ApiView):
    """Consume holds as a sale."""

    allowed: ClassVar = {"POST": Capability.SELL}

    @describe(
        "consume",
        "Consume reservations for an order, exactly once",
        body=holds_contract.ConsumeIn,
        answers={200: holds_contract.ConsumedOut | holds_contract.AllConsumedOut},
        refusals=refusals.CONSUME,
        idempotent=True,
    )
    def post(self, request: Request) -> Pending:
        body = decode(request, holds_contract.ConsumeIn)
        if body.reservation_id is not None and body.cart_id is not None:
            detail = "reservationId or cartId, not both"
            raise Invalid(f"Say what to consume: {detail}.", [Fault("/cartId", "invalid", detail)])
        identifier = _reservation_id(body.reservation_id) if body.reservation_id else None
        by_order = None if identifier or body.cart_id else body.order_id
        render: Callable[[Resolved], StoredAnswer] = _consumed if identifier else _all_consumed
        consume = ConsumeRequest(
            actor=self.actor(request),
            order_id=body.order_id,
            selector=Selector(identifier, body.cart_id, by_order),
            reacquire=body.reacquire,
            claim=self.claim(request, render),
        )
        return Pending(group_commit.consume_hold(consume), render)


class CartView(ApiView):
    """The basket of a cart."""

    allowed: ClassVar = {"PUT": Capability.SELL, "DELETE": Capability.SELL}

    @describe(
        "putCart",
        "Make a cart's reservation equal to a basket",
        body=holds_contract.BasketIn,
        answers={200: holds_contract.HeldOut, 201: holds_contract.HeldOut},
        refusals=refusals.PUT_CART,
        idempotent=True,
    )
    def put(self, request: Request, cart_id: str) -> HttpResponse:
        body = decode(request, holds_contract.BasketIn)
        basket = HoldRequest(
            actor=self.actor(request),
            lines=_lines(body.items),
            store=body.store_id,
            cart_id=_cart_id(cart_id),
            customer_id=body.customer_id,
            timeout_minutes=body.timeout_minutes,
            claim=self.claim(request, _reserved),
        )
        return answered(baskets.put_basket(basket), _reserved)

    @describe(
        "deleteCart",
        "Release a cart's reservation",
        answers={200: holds_contract.AllReleasedOut},
        refusals=refusals.DELETE_CART,
        idempotent=True,
    )
    def delete(self, request: Request, cart_id: str) -> HttpResponse:
        release = ReleaseRequest(
            actor=self.actor(request),
            selector=Selector(cart_id=_cart_id(cart_id)),
            reason=CART_EMPTIED,
            claim=self.claim(request, _all_released),
        )
        return answered(baskets.empty_basket(release), _all_released)


def _cart_id(text: str) -> str:
    """Check a cart id in a path. Raises Invalid for a text that isn't allowed as a cart id in a body."""
    try:
        return msgspec.convert(text, type=OpaqueId, dec_hook=decode_scalar)
    except msgspec.ValidationError as error:
        raise Invalid("A cartId is 1 to 64 printable characters.") from error


def _reservation(hold: Hold, now: datetime) -> ReservationOut:
    return ReservationOut(
        reservation_id=hold.public_id,
        store_id=hold.store,
        order_id=hold.order_id,
        cart_id=hold.cart_id,
        customer_id=hold.customer_id,
        status="EXPIRED" if hold.is_due(now) else hold.status,  # type: ignore[arg-type]
        items=_items(hold),
        created_at=hold.created_at,
        expires_at=hold.expires_at,
        expires_in_seconds=_seconds_left(hold, now),
        extended_at=hold.extended_at,
        consumed_at=hold.consumed_at,
        released_at=hold.released_at,
        reason=hold.reason,
        reacquired_from=public_id(RESERVATION, hold.reacquired_from) if hold.reacquired_from else UNSET,
    )


class ReservationView(ApiView):
    """One reservation."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "readReservation",
        "Read a reservation",
        answers={200: holds_contract.ReservationOut},
        refusals=refusals.READ,
        tagged=True,
    )
    def get(self, request: Request, reservation_id: str) -> HttpResponse:
        identifier = _reservation_id(reservation_id)
        hold = placing.visible(documents.read_holds([identifier]).get(identifier), self.actor(request))
        return respond_unless_known(request, _reservation(hold, read_clock()))


class ReservationsView(ApiView):
    """The list of reservations."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listReservations",
        "List reservations, the newest first",
        query=holds_contract.ReservationsQuery,
        answers={200: holds_contract.ReservationPageOut},
    )
    def get(self, request: Request) -> HttpResponse:
        query = decode_query(request, holds_contract.ReservationsQuery)
        found = Reservation.objects.visible_to(self.actor(request)).matching(
            cart_id=query.cart_id,
            order_id=query.order_id,
            customer_id=query.customer_id,
            product_id=query.product_id,
            variant_id=query.variant_id,
        )
        if query.status:
            found = found.in_state(query.status)
        page, following = page_of(found.only("pk"), query, newest_first=True)
        read = documents.read_holds([reservation.id for reservation in page])
        now = read_clock()
        items = [_reservation(read[reservation.id], now) for reservation in page]
        return respond(holds_contract.ReservationPageOut(items=items, next=following))
