"""The route of carts. Each method decodes the request, calls one service and encodes the answer."""

from typing import ClassVar

import msgspec
from rest_framework.request import Request

from audit.actors import Actor
from audit.api.http import ApiView, Pending, decode, decode_query
from audit.api.scalars import decode_scalar
from audit.api.schema import describe
from audit.api.texts import OpaqueId
from audit.errors import Invalid
from audit.roles import Capability
from inventory.combining import Reading
from reservations import group_commit
from reservations.api.holds import answers, contract, refusals
from reservations.api.holds.views import lines_of
from reservations.errors import ReservationNotFound
from reservations.services.holds import reading
from reservations.services.holds.counting import CART_EMPTIED
from reservations.services.holds.placing import HoldRequest
from reservations.services.holds.resolution import ReleaseRequest
from reservations.services.holds.selecting import Selector


class CartView(ApiView):
    """The basket of a cart."""

    allowed: ClassVar = {"GET": Capability.READ, "PUT": Capability.SELL, "DELETE": Capability.SELL}
    on_loop: ClassVar = frozenset({"GET", "PUT", "DELETE"})
    created: ClassVar = "/api/v1/inventory/carts/{cartId}"

    @describe(
        "readCart",
        "Read what a cart holds",
        query=contract.CartQuery,
        answers={200: contract.Cart},
        refusals=refusals.READ,
        tagged=True,
    )
    def get(self, request: Request, cart_id: str) -> Pending:
        """Reads the active reservations of a cart."""
        query = decode_query(request, contract.CartQuery)
        name = _cart_id(cart_id)
        read = reading.CartRequest(self.actor(request), name, query.store_id)
        return Pending(Reading(reading.read_carts, read), answers.cart, is_tagged=True)

    @describe(
        "putCart",
        "Make a cart's reservation equal to a basket, or empty it",
        body=contract.BasketIn,
        answers={200: contract.CartResult, 201: contract.CartResult},
        refusals=refusals.PUT_CART,
        idempotent=True,
    )
    def put(self, request: Request, cart_id: str) -> Pending:
        """Makes the cart's reservation equal to its items, in one step: what grows is held, what shrinks is given back.
        If stock is short, the old reservation stays."""
        body = decode(request, contract.BasketIn)
        basket = HoldRequest(
            actor=self.actor(request),
            lines=lines_of(body.items),
            store=body.store_id,
            cart_id=_cart_id(cart_id),
            customer_id=body.customer_id,
            timeout_minutes=body.timeout_minutes,
            claim=self.claim(request, answers.put),
        )
        return Pending(group_commit.put_basket(basket), answers.put)

    @describe(
        "deleteCart",
        "Release a cart's reservation",
        query=contract.CartQuery,
        answers={200: contract.ReleaseResult},
        refusals=refusals.DELETE_CART,
        idempotent=True,
    )
    def delete(self, request: Request, cart_id: str) -> Pending:
        """Releases all that is held for a cart."""
        query = decode_query(request, contract.CartQuery)
        release = ReleaseRequest(
            actor=_limited(self.actor(request), query.store_id),
            selector=Selector(cart_id=_cart_id(cart_id)),
            reason=CART_EMPTIED,
            claim=self.claim(request, answers.released),
        )
        return Pending(group_commit.empty_basket(release), answers.released)


def _limited(actor: Actor, store: str | None) -> Actor:
    """The actor, limited to the store if one is given. Raises ReservationNotFound for a store out of its reach."""
    if store is None:
        return actor
    if not actor.sees_store(store):
        raise ReservationNotFound("Nothing is held for this cart.")
    return msgspec.structs.replace(actor, store_codes=(store,))


def _cart_id(text: str) -> str:
    """Check a cart id in a path. Raises Invalid for a text that isn't allowed as a cart id in a body."""
    try:
        return msgspec.convert(text, type=OpaqueId, dec_hook=decode_scalar)
    except msgspec.ValidationError as error:
        raise Invalid("The cart's id in the path must be a text of 1 to 64 printable characters.") from error
