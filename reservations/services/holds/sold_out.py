"""Refuse requests for stock that this process found sold out a moment ago, without a lock, transaction or statement.

In a sold-out drop nearly all requests are refused. ``placing`` remembers the levels of those that it refuses
(docs/explanation/rules.md, rule 42). A request that may have enough stock is decided under the locks, as always.
"""

from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple
from uuid import UUID

from inventory.errors import InsufficientStock, Shortage
from inventory.services.catalogue.lookup import Catalogue, recall_catalogue
from inventory.services.stock import known_levels
from inventory.services.stock.known_levels import Recalled
from inventory.transactions import PATIENT
from reservations.services.holds import counting, placing, sourcing
from reservations.services.holds.placing import HoldRequest, Prepared

_MOST_REFUSED: Final = 10_000
_MOST_LINES: Final = 5
"""The most lines of a request whose refusal is kept: a refusal of 200 lines takes 75 KB."""


class _Refused(NamedTuple):
    """The shortages of refused lines, valid as long as the levels ``by`` which they were refused are still known."""

    by: Recalled
    shortages: tuple[Shortage, ...]


_refused: Final[dict[Hashable, _Refused]] = {}


def known_refusal(request: HoldRequest) -> InsufficientStock | None:
    """The refusal of a request for more units than are remembered, as ``placing.place_holds`` returns it; else None.

    Counts the refusal. Sends no statement and never waits.
    """
    if _needs_the_database(request) or not known_levels.were_short(_products_in(request)):
        return None
    refusal = _repeated(request) or _decided(request)
    if refusal:
        counting.count_refused([refusal], PATIENT)
    return refusal


def _key(request: HoldRequest) -> Hashable:
    """The parts of a request that decide whether it is short."""
    actor = request.actor
    return request.lines, request.store, request.timeout_minutes, actor.store_codes, actor.warehouse_codes


def _repeated(request: HoldRequest) -> InsufficientStock | None:
    """The refusal of the same lines a moment ago: in a drop nearly all requests are the same."""
    refused = _refused.get(_key(request)) if len(request.lines) <= _MOST_LINES else None
    if refused is None or not refused.by.is_known():
        return None
    return InsufficientStock(refused.shortages)


def _decided(request: HoldRequest) -> InsufficientStock | None:
    catalogue = recall_catalogue(*placing.names_in([request]))
    if catalogue is None or not _knows_warehouses(request, catalogue):
        return None
    plan = placing.prepare(request, catalogue)
    if not isinstance(plan, Prepared) or plan.asked:
        return None  # Other refusals need fresh data, and limits are checked before the stock.
    candidates = sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values()
    recalled = known_levels.recall(candidates)
    if recalled is None:
        return None
    try:
        sourcing.choose_items(plan.wanted, plan.store, catalogue, recalled.sellable)
    except InsufficientStock as refusal:
        if len(request.lines) <= _MOST_LINES:
            _keep(request, _Refused(recalled, refusal.shortages))
        return refusal
    return None


def _keep(request: HoldRequest, refused: _Refused) -> None:
    if len(_refused) >= _MOST_REFUSED:
        _refused.clear()
    _refused[_key(request)] = refused


def _needs_the_database(request: HoldRequest) -> bool:
    """Whether its key may have a stored answer, or its order a hold: both are looked up before the stock."""
    return request.claim is not None or (request.order_id is not None and not request.additional)


def _products_in(request: HoldRequest) -> Iterator[UUID]:
    return (line.variant_id or line.product_id for line in request.lines)


def _knows_warehouses(request: HoldRequest, catalogue: Catalogue) -> bool:
    """Whether the request names only warehouses of its store: the refusal of others takes a query."""
    named = {line.warehouse for line in request.lines if line.warehouse is not None}
    return named <= {source.code for store in catalogue.stores.values() for source in store.sources}
