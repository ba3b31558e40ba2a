"""Put and empty baskets: one step makes a cart's hold equal to its basket (docs/explanation/rules.md, rule 10).

Additional units are held and surplus units are given back; the units that the cart holds already count as available to
it. All active holds of the cart in the store are merged into the oldest one, which keeps its ``expires_at``: changing a
basket never resets the clock.

Requests for one cart are decided one after the other, under the cart's advisory lock. The requests of a batch are for
different carts: ``apart`` returns what two of them must not have in common.
"""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from audit import idempotency
from audit.errors import Busy, DomainError, raise_refusal
from audit.idempotency import Claim, StoredAnswer
from inventory import transactions
from inventory.locking import lock_levels, lock_sellable_levels
from inventory.services.catalogue.lookup import Catalogue
from inventory.transactions import PATIENT, Patience
from reservations.services.holds import cart_holds, counting, limits, sourcing
from reservations.services.holds.basket_batch import BasketBatch, Emptied, cart_of
from reservations.services.holds.placing import HoldOutcome, HoldRequest, PlacedHold, Prepared, prepare_all
from reservations.services.holds.recalling import CatalogueChanged, with_cached_catalogue
from reservations.services.holds.resolution import (
    ReleaseRequest,
    ResolutionOutcome,
    Resolved,
    resolve_claimed,
)

BasketOutcome = HoldOutcome | Emptied


def put_basket(request: HoldRequest) -> PlacedHold | Emptied | StoredAnswer:
    """Make the cart's hold in the store equal to the request's lines; without lines, release it. Requires ``cart_id``.

    ``timeout_minutes`` is used only if the cart holds nothing yet. Limits are checked only for products whose units
    increase. Raises the errors of ``place_hold``; the old hold is unchanged then. Locks: claim, the cart, its customer
    if a limit is set, its reservations by id, all their levels and the candidate levels by id.
    """
    outcome: PlacedHold | Emptied | StoredAnswer = raise_refusal(put_baskets([request])[0])
    return outcome


def put_baskets(requests: Sequence[HoldRequest], patience: Patience = PATIENT) -> list[BasketOutcome]:
    """``put_basket`` for many requests, each decided on its own, in order, in one transaction.

    A request for the same cart as an earlier one of the batch is refused with Busy (``apart``). Raises Busy for the
    batch as a whole.
    """
    decide = partial(with_cached_catalogue, put_all, requests, patience)
    return counting.with_refusals_counted(decide, requests, patience)


def empty_basket(request: ReleaseRequest) -> Resolved | StoredAnswer:
    """Release all holds of a cart. Raises the errors of ``release_hold``. Locks: claim, the cart, then its locks."""
    outcome: Resolved | StoredAnswer = raise_refusal(empty_baskets([request])[0])
    return outcome


def empty_baskets(requests: Sequence[ReleaseRequest], patience: Patience = PATIENT) -> list[ResolutionOutcome]:
    """``empty_basket`` for many requests, each decided on its own, in order, in one transaction."""
    return transactions.run(partial(empty_all, requests), patience)


def apart(request: HoldRequest | ReleaseRequest) -> tuple[Hashable, ...]:
    """The cart and the idempotency key of a request. Requests that share one of them aren't decided together: the
    second decision depends on the first, but a batch reads carts and keys only once, before it decides."""
    cart_id = request.cart_id if isinstance(request, HoldRequest) else request.selector.cart_id
    return (cart_id, *_key(request.claim))


def _key(claim: Claim | None) -> Iterator[Hashable]:
    if claim is not None:
        yield claim.client_id, claim.key


def empty_all(requests: Sequence[ReleaseRequest]) -> list[ResolutionOutcome]:
    """The inner service of ``empty_baskets``; requires an open transaction."""
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    if open_requests:
        limits.lock_carts(str(request.selector.cart_id) for request in open_requests)
    outcomes = iter(resolve_claimed(open_requests))
    return [verdict or next(outcomes) for verdict in verdicts]


# --- put -------------------------------------------------------------------------------------------------------------


def put_all(requests: Sequence[HoldRequest], *, may_recall: bool = True) -> list[BasketOutcome]:
    """The inner service of ``put_baskets``; requires an open transaction. Due holds of others still count as reserved.

    With ``may_recall`` the catalogue may come from the cache. Raises CatalogueChanged, with nothing written, if the
    cached catalogue turns out to be out of date.
    """
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    prepared, catalogue, is_recalled = prepare_all(open_requests, may_recall=may_recall, requires_sellable=False)
    outcomes: dict[UUID, BasketOutcome] = {
        id_: error for id_, error in prepared.items() if isinstance(error, DomainError)
    }
    plans: dict[str, Prepared] = {}
    for id_, plan in prepared.items():
        if isinstance(plan, Prepared) and plans.setdefault(cart_of(plan), plan) is not plan:
            outcomes[id_] = Busy(_TOGETHER)
    if plans:
        limits.lock_carts(plans)
        limited, allowances = _lock_allowances(list(plans.values()))
        batch = _lock(limited, catalogue, allowances, is_recalled=is_recalled)
        outcomes |= {plan.request.id: batch.decide(plan) for plan in limited}
        batch.write()
    return [verdict or outcomes[request.id] for request, verdict in zip(requests, verdicts, strict=True)]


_TOGETHER: Final = "Another request for this cart is being decided; nothing of this request was done. Try again."


def _lock_allowances(plans: Sequence[Prepared]) -> tuple[Sequence[Prepared], limits.Allowances]:
    """Lock the shoppers if a limit is set, and read what they hold. Requires the carts' locks.

    Returns the plans with their shoppers: a request without a customer belongs to the customer whose hold its cart has.
    """
    if not any(plan.asked for plan in plans):
        return plans, limits.Allowances({}, {})
    ids, owners = cart_holds.read_owners(*_of_carts(plans))
    named = [_of_customer(plan, owners.get((cart_of(plan), plan.store.id))) for plan in plans]
    asked = [plan.asked for plan in named if plan.asked]
    return named, limits.lock_allowances(asked, replaceable=ids)


def _of_customer(plan: Prepared, customer_id: str | None) -> Prepared:
    """The plan for a cart of this customer, unless the request names one itself."""
    if plan.asked is None or plan.request.customer_id is not None:
        return plan
    shopper = plan.asked.shopper._replace(customer_id=customer_id)
    return replace(plan, asked=replace(plan.asked, shopper=shopper))


def _lock(
    plans: Sequence[Prepared], catalogue: Catalogue, allowances: limits.Allowances, *, is_recalled: bool
) -> BasketBatch:
    """Lock the carts' reservations, then all levels of these and of the lines: three statements. Requires the carts'
    locks: as these may have been waited for, a later statement looks up the reservations."""
    holds = cart_holds.lock(*_of_carts(plans))
    level_ids = {level_id for hold in holds.values() for level_id in hold.level_ids}
    for plan in plans:
        level_ids.update(sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values())
    levels = lock_sellable_levels(level_ids) if is_recalled and level_ids else lock_levels(level_ids)
    if levels is None:
        raise CatalogueChanged
    return BasketBatch(holds.values(), levels, catalogue, allowances)


def _of_carts(plans: Sequence[Prepared]) -> tuple[list[str], set[UUID]]:
    return [cart_of(plan) for plan in plans], {plan.store.id for plan in plans}
