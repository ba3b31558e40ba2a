"""Receive messages: parse each and apply its event; those that can't be parsed become dead letters.

If the database is busy, no dead letter is written: Busy is raised, and the whole batch is received again. Events that
were decided before are recognised by their ids.
"""

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError

from audit.errors import Busy, DomainError, PermissionDenied
from inventory.transactions import PATIENT, Patience
from reservations.models.orders import Result
from reservations.services.orders import letters, memory, messages
from reservations.services.orders.applying import apply_orders
from reservations.services.orders.incoming import ProductCreatedEvent
from reservations.services.orders.letters import PutAside
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Message, Received, Unreadable
from reservations.services.orders.products import apply_products

logger = structlog.get_logger(__name__)
BATCH_LIMIT: Final = 100
"""The maximum number of events in one transaction."""
_Apply = Callable[[Sequence[Received], Patience], list[Outcome]]


def receive(batch: Sequence[Message], patience: Patience = PATIENT) -> list[Outcome]:
    """Receive messages, and return the outcome of each, in order.

    New products are created first, as an order may name them. Events of orders are applied in sequence, ``BATCH_LIMIT``
    in a transaction. A message that can't be parsed, a refused product and an event that fails for an unknown reason
    become dead letters; the others are applied.

    Raises Busy if the database is busy or unavailable; events that were applied until then stay applied.
    """
    outcomes: dict[int, Outcome] = {}
    dead: dict[int, PutAside] = {}
    readable: dict[int, Received] = {}
    for index, message in enumerate(batch):
        try:
            each = messages.read(message)
        except Unreadable as error:
            dead[index] = PutAside(message, error.code, error.detail, error.type, error.event_id)
            outcomes[index] = memory.refusal(error, Result.DEAD_LETTER)
            continue
        if each.event.REQUIRES in message.sender.capabilities:
            readable[index] = each
        else:
            outcomes[index] = memory.refusal(PermissionDenied(f"This client may not send a {each.event.TYPE}."))
    products = {index: each for index, each in readable.items() if isinstance(each.event, ProductCreatedEvent)}
    orders = {index: each for index, each in readable.items() if index not in products}
    for apply, events in ((apply_products, products), (apply_orders, orders)):
        for index, outcome in _applied(apply, events, patience).items():
            outcomes[index] = outcome
            if outcome.result == Result.DEAD_LETTER:
                each = readable[index]
                dead[index] = PutAside(each.message, outcome.code, outcome.detail, each.event.TYPE, each.event_id)
    letters.put_aside(list(dead.values()), patience)
    for index, letter in dead.items():
        outcomes.setdefault(index, Outcome(result=Result.DEAD_LETTER, code=letter.code, detail=letter.reason))
    return [outcomes[index] for index in range(len(batch))]


def _applied(apply: _Apply, events: dict[int, Received], patience: Patience) -> dict[int, Outcome]:
    """Apply events in pieces of ``BATCH_LIMIT``. Returns the outcomes by index."""
    outcomes: dict[int, Outcome] = {}
    indexes = list(events)
    for start in range(0, len(indexes), BATCH_LIMIT):
        piece = indexes[start : start + BATCH_LIMIT]
        outcomes |= zip(piece, _apply_piece(apply, [events[index] for index in piece], patience), strict=True)
    if apply is apply_products:
        return {index: _unless_refused(outcome) for index, outcome in outcomes.items()}
    return outcomes


def _unless_refused(outcome: Outcome) -> Outcome:
    """A refused product as a dead letter, as no event reports it, and it can be replayed once its cause is removed."""
    return (
        outcome
        if outcome.result != Result.REFUSED
        else Outcome(result=Result.DEAD_LETTER, code=outcome.code, detail=outcome.detail, errors=outcome.errors)
    )


def _apply_piece(apply: _Apply, events: Sequence[Received], patience: Patience) -> list[Outcome]:
    """Apply events together; if that fails for an unknown reason, apply each separately, so that one doesn't stop the
    others."""
    try:
        return apply(events, patience)
    except (Busy, OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(events) > 1:
            logger.warning("events_fall_apart", events=len(events), error=repr(error))
            return [outcome for each in events for outcome in _apply_piece(apply, [each], patience)]
        logger.exception("event_fails", type=events[0].event.TYPE, event_id=events[0].event_id)
        code = error.code if isinstance(error, DomainError) else "internal_error"
        return [Outcome(result=Result.DEAD_LETTER, code=code, detail=f"It could not be applied: {error!r}")]
