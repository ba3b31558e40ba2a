"""The view of the route of incoming events."""

from typing import ClassVar, Final

import msgspec
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.api.contract import ProblemError
from audit.api.http import ApiView, caller_of, note_rows, respond
from audit.api.json_bodies import malformed, media_type_of, raw_body, require_json
from audit.api.schema import describe
from audit.errors import Invalid
from audit.roles import Capability
from reservations.api.inbox import contract
from reservations.services.orders import inbox
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Message, Sender, names_in

_ONE: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_JSON: Final = "application/json"
_MEDIA_TYPES: Final = (_JSON, _ONE, _BATCH)
_ROWS_OF_AN_EVENT: Final = 5


class InboxView(ApiView):
    """Receive events of orders and products."""

    allowed: ClassVar = {"POST": Capability.SELL}

    @describe(
        "receiveEvents",
        "Receive events of orders and products",
        # Generators of Python clients write a module that fails for an operation with several media types.
        bodies={_JSON: contract.Batch},
        answers={202: contract.InboxOut},
    )
    def post(self, request: Request) -> HttpResponse:
        """Acts on events of orders and products. Each has its own outcome, and may be sent again without harm. One
        event may also be sent without a list around it. Also taken are one event as `application/cloudevents+json`, and
        a list of events as `application/cloudevents-batch+json`."""
        bodies = _events(request)
        caller = caller_of(request)
        capabilities = frozenset(each for each in Capability if caller.may(each))
        sender = Sender(self.actor(request), caller.client_id, capabilities)
        outcomes = inbox.receive([Message(sender, body) for body in bodies])
        note_rows(request, _ROWS_OF_AN_EVENT * len(bodies))
        answers = [_answer(body, outcome) for body, outcome in zip(bodies, outcomes, strict=True)]
        return respond(contract.InboxOut(outcomes=answers), 202)


def _events(request: Request) -> list[bytes]:
    """The JSON of each event in the body. Raises UnsupportedMediaType, Malformed, or Invalid for too many or none."""
    raw = raw_body(request)
    require_json(request, raw, _MEDIA_TYPES)
    media_type = media_type_of(request)
    try:
        is_list = raw.lstrip()[:1] == b"["
        parts: list[msgspec.Raw] = msgspec.json.decode(raw, type=list[msgspec.Raw]) if is_list else []
        one = None if is_list else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(raw, error) from error
    if is_list is not (media_type == _BATCH) and media_type != _JSON:
        raise Invalid(f"A body of {_BATCH} is a list of events, one of {_ONE} is a single event.")
    if not is_list and not isinstance(one, dict):
        raise Invalid("The body is one event, or a list of events.")
    if is_list and not 1 <= len(parts) <= contract.MOST_EVENTS:
        raise Invalid(f"A batch has 1 to {contract.MOST_EVENTS} events.")
    return [bytes(part) for part in parts] if is_list else [raw]


def _answer(body: bytes, outcome: Outcome) -> contract.EventOutcomeOut:
    kind, event_id = names_in(body)
    return contract.EventOutcomeOut(
        event_id=event_id,
        type=kind,
        outcome=outcome.result,  # type: ignore[arg-type]
        duplicate=outcome.is_duplicate,
        reservation_ids=list(outcome.reservation_ids),
        code=outcome.code or UNSET,
        detail=outcome.detail or UNSET,
        errors=[msgspec.convert(error, ProblemError) for error in outcome.errors] or UNSET,
    )
