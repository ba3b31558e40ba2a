"""Replay and discard dead letters."""

from uuid import UUID

import msgspec

from audit import idempotency
from audit.actions import Action
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.recording import Entry, record
from audit.roles import Capability
from inventory import transactions
from inventory.locking import read_clock
from reservations import actions
from reservations.models import DeadLetter
from reservations.models.orders import Result
from reservations.services.orders import messages
from reservations.services.orders.applying import apply_orders
from reservations.services.orders.incoming import ProductCreatedEvent
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Message, Sender, Unreadable
from reservations.services.orders.products import apply_products


class SettleRequest(msgspec.Struct, frozen=True, gc=False):
    """A request to replay or discard one dead letter."""

    actor: Actor
    letter_id: UUID
    reason: str = ""
    claim: Claim | None = None


def replay_letter(request: SettleRequest) -> Outcome | StoredAnswer:
    """Receive the message of a letter again, as the actor, and note that it was replayed. Returns its outcome.

    If the process dies between the two, the letter still waits, and its event is recognised when it is replayed again.
    Raises NotFound unless the letter waits, Invalid with the reason if it still can't be understood or applied,
    PermissionDenied for an actor that is limited, Busy and the errors of claims.
    """
    request.actor.require_no_limit()
    letter = DeadLetter.objects.waiting().filter(pk=request.letter_id).first()
    outcome = Outcome(result=Result.UNCHANGED) if letter is None else _receive(letter, request.actor)
    return _settle(request, DeadLetter.Status.REPLAYED, actions.EVENT_REPLAYED, outcome)


def discard_letter(request: SettleRequest) -> Outcome | StoredAnswer:
    """Discard a letter: its message won't be applied. Raises NotFound unless the letter waits, PermissionDenied for an
    actor that is limited, Busy and the errors of claims. Locks the letter."""
    request.actor.require_no_limit()
    outcome = Outcome(result=Result.UNCHANGED)
    return _settle(request, DeadLetter.Status.DISCARDED, actions.EVENT_DISCARDED, outcome)


def _receive(letter: DeadLetter, actor: Actor) -> Outcome:
    """Apply the letter's event. The event's id counts as its client's."""
    message = Message(Sender(actor, letter.client_id, frozenset(Capability)), bytes(letter.message), letter.place)
    try:
        received = messages.read(message)
    except Unreadable as error:
        raise Invalid(f"It still can't be understood: {error.detail}") from error
    if not isinstance(received.event, ProductCreatedEvent):
        return apply_orders([received])[0]
    outcome = apply_products([received])[0]
    if outcome.result == Result.REFUSED:
        raise Invalid(f"It is still refused: {outcome.detail}")
    return outcome


def _settle(
    request: SettleRequest, status: DeadLetter.Status, action: Action, outcome: Outcome
) -> Outcome | StoredAnswer:
    def work() -> Outcome | StoredAnswer:
        if answer := idempotency.claim_one(request.claim):
            return answer
        letter = DeadLetter.objects.select_for_update(no_key=True).waiting().filter(pk=request.letter_id).first()
        if letter is None:
            raise NotFound("This dead letter was replayed or discarded before.")
        now = read_clock()
        letter.status, letter.settled_at, letter.settled_by = status, now, request.actor.name
        letter.save(update_fields=["status", "settled_at", "settled_by"])
        changes = {"type": letter.type, "eventId": letter.event_id, "result": outcome.result, "reason": request.reason}
        record([Entry(request.actor, action, letter.pk, changes)], now=now)
        idempotency.store_all([(request.claim, outcome)], now=now)
        return outcome

    return transactions.run(work, pipelined=False)
