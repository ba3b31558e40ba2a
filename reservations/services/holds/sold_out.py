"""Refuse requests for stock that this process found sold out a moment ago, without a transaction or a wait for a lock.

In a sold-out drop nearly all requests are refused. ``placing`` remembers the levels of those that it refuses
(docs/explanation/rules.md, rule 42). A request that may have enough stock is decided under the locks, as always.
"""

import threading
from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple
from uuid import UUID

from inventory.errors import InsufficientStock
from inventory.services.catalogue.lookup import Catalogue, recall_catalogue
from inventory.services.stock import known_levels
from inventory.services.stock.known_levels import Recalled
from inventory.transactions import PATIENT
from reservations.services.holds import counting, placing, sourcing
from reservations.services.holds.orders_held import Order
from reservations.services.holds.placing import HoldRequest, Prepared
from reservations.services.holds.repetitions import Origin

_MOST_REFUSED: Final = 10_000
_MOST_LINES: Final = 5
"""The most lines of a request whose refusal is kept: a refusal of 200 lines takes 75 KB."""


class KnownShortage(NamedTuple):
    """The shortages of a request's lines, valid as long as the levels that showed them, ``by``, are still known."""

    by: Recalled
    refusal: InsufficientStock
    store_id: UUID

    def origin_of(self, request: HoldRequest) -> Origin | None:
        """What must be looked up before the request may be refused (``repetitions.may_be_repeated``); None if it has no
        key, and either no order or is additional to what its order holds."""
        order_id = None if request.additional else request.order_id
        if request.claim is None and order_id is None:
            return None
        return Origin(request.actor, request.claim, None if order_id is None else Order(self.store_id, order_id))

    def refuse(self) -> None:
        """Raise the refusal, as ``placing.place_holds`` returns it, and count it. Does nothing if it is out of date."""
        if self.by.is_known():
            counting.count_refused([self.refusal], PATIENT)
            raise self.refusal.again()


_refused: Final[dict[Hashable, KnownShortage]] = {}


def known_shortage(request: HoldRequest) -> KnownShortage | None:
    """The shortage of a request for more units than are remembered, else None. Sends no statement and never waits.

    Also None if this process is still deciding a request with the same key or order: the repetition waits for it.
    """
    if not known_levels.is_any_short() or _is_undecided(request):
        return None
    if repeated := _repeated(request):
        return repeated
    return _decided(request) if known_levels.were_short(_products_in(request)) else None


def _key(request: HoldRequest) -> Hashable:
    """The parts of a request that decide whether it is short."""
    actor = request.actor
    return request.lines, request.store, request.timeout_minutes, actor.store_codes, actor.warehouse_codes


def _repeated(request: HoldRequest) -> KnownShortage | None:
    """The shortage of the same lines a moment ago: in a drop nearly all requests are the same."""
    refused = _refused.get(_key(request)) if len(request.lines) <= _MOST_LINES else None
    return refused if refused is not None and refused.by.is_known() else None


def _decided(request: HoldRequest) -> KnownShortage | None:
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
        shortage = KnownShortage(recalled, InsufficientStock(refusal.shortages), plan.store.id)
        if len(request.lines) <= _MOST_LINES:
            _keep(request, shortage)
        return shortage
    return None


def _keep(request: HoldRequest, refused: KnownShortage) -> None:
    if len(_refused) >= _MOST_REFUSED:
        _refused.clear()
    _refused[_key(request)] = refused


def _products_in(request: HoldRequest) -> Iterator[UUID]:
    return (line.variant_id or line.product_id for line in request.lines)


def _knows_warehouses(request: HoldRequest, catalogue: Catalogue) -> bool:
    """Whether the request names only warehouses of its store: the refusal of others takes a query."""
    named = {line.warehouse for line in request.lines if line.warehouse is not None}
    return named <= {source.code for store in catalogue.stores.values() for source in store.sources}


_undecided: Final[dict[str, int]] = {}
"""How many requests with a key, or for an order, this process is deciding. A key and an order may be the same text, and
so may those of two clients or stores: then one waits for the other without need, which is slower but correct."""
_mutex: Final = threading.Lock()


def _names_of(request: HoldRequest) -> list[str]:
    of_order = [] if request.order_id is None else [request.order_id]
    return of_order if request.claim is None else [request.claim.key, *of_order]


def _is_undecided(request: HoldRequest) -> bool:
    return bool(_undecided) and any(name in _undecided for name in _names_of(request))


class Deciding:
    """Marks a request as being decided, so that its repetitions wait for it and aren't refused from memory.

    While the request waits for its batch, it has no lock yet that would show this.
    """

    __slots__ = ("_names",)

    def __init__(self, request: HoldRequest) -> None:
        self._names = _names_of(request)

    def __enter__(self) -> None:
        if self._names:
            with _mutex:
                for name in self._names:
                    _undecided[name] = _undecided.get(name, 0) + 1

    def __exit__(self, *_: object) -> None:
        if self._names:
            with _mutex:
                for name in self._names:
                    if _undecided[name] == 1:
                        del _undecided[name]
                    else:
                        _undecided[name] -= 1
