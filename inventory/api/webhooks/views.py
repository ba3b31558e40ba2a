"""The routes of webhooks: decode, one call, answer."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit import feed
from audit.api.contract import PageQuery
from audit.api.http import ApiView, answered, decode, decode_query, id_in_path, rendered, respond
from audit.api.paging import page_of
from audit.api.schema import describe
from audit.api.versions import expected_of, precondition, respond_unless_known, tagged
from audit.errors import Archived, Invalid, NotFound
from audit.feed import Cursor
from audit.idempotency import StoredAnswer
from audit.identifiers import EVENT, HOOK, public_id
from audit.models import WebhookAttempt, WebhookSubscription
from audit.roles import Capability
from audit.webhooks import keys, managing
from audit.webhooks.counting import counted, with_counts
from audit.webhooks.managing import Changed, Queued, TooManySecrets, TooManyWebhooks, WebhookDisabled
from inventory.api.webhooks import contract
from inventory.errors import UnknownProduct, UnknownStore
from inventory.services.access.webhooks import change_webhook, create_webhook

_COLUMNS: Final = {"store_ids": "store_codes", "product_ids": "product_ids"}


class WebhooksView(ApiView):
    """The list of webhooks."""

    allowed: ClassVar = {"GET": Capability.READ_WEBHOOKS, "POST": Capability.MANAGE_WEBHOOKS}
    created: ClassVar = "/api/v1/webhooks/{webhookId}"

    @describe("listWebhooks", "List webhooks", query=PageQuery, answers={200: contract.WebhookPageOut})
    def get(self, request: Request) -> HttpResponse:
        """Lists the webhooks."""
        found = with_counts(managing.visible_to(self.actor(request)))
        webhooks, following = page_of(found, decode_query(request, PageQuery))
        return respond(contract.WebhookPageOut(items=[_webhook_out(row) for row in webhooks], next=following))

    @describe(
        "createWebhook",
        "Add a webhook",
        body=contract.WebhookIn,
        answers={201: contract.WebhookSecretOut},
        refusals=(Archived, TooManyWebhooks, UnknownProduct, UnknownStore),
        idempotent=True,
    )
    def post(self, request: Request) -> HttpResponse:
        """Adds a webhook. The answer has its secret, which is shown this once."""
        body = decode(request, contract.WebhookIn)
        start = _start(body)
        claim = self.claim(request, _created_without_secret)
        fields = _fields(body, "name", "url", "types", "store_ids", "product_ids", "fifo")
        fields["is_paused"] = body.status == "paused"
        return answered(create_webhook(self.actor(request), fields, start=start, claim=claim), _created)


def _start(body: contract.WebhookIn) -> Cursor | None:
    """The cursor that a webhook starts at. Raises Invalid and Archived."""
    if body.since is not None:
        feed.tick(waits=True)
        return feed.cursor_at(body.since)
    if body.after is None:
        return None
    try:
        cursor = Cursor.parse(body.after)
        feed.read_after(cursor, 1)
    except Invalid as error:
        raise Invalid.at("/after", error.detail) from error
    return cursor


class WebhookView(ApiView):
    """One webhook."""

    allowed: ClassVar = {
        "GET": Capability.READ_WEBHOOKS,
        "PATCH": Capability.MANAGE_WEBHOOKS,
        "DELETE": Capability.MANAGE_WEBHOOKS,
    }

    @describe("readWebhook", "Read a webhook", answers={200: contract.WebhookOut}, tagged=True)
    def get(self, request: Request, webhook_id: str) -> HttpResponse:
        """Reads a webhook, without its secret."""
        return respond_unless_known(request, _webhook_out(_visible(self, request, webhook_id)))

    @describe(
        "changeWebhook",
        "Change, pause or resume a webhook",
        body=contract.WebhookPatch,
        answers={200: contract.WebhookOut},
        refusals=(UnknownProduct, UnknownStore),
        idempotent=True,
        conditional=True,
    )
    def patch(self, request: Request, webhook_id: str) -> HttpResponse:
        """Changes a webhook, or pauses or resumes it. Fields that are omitted stay as they are."""
        body = decode(request, contract.WebhookPatch)
        changed = change_webhook(
            self.actor(request),
            _id(webhook_id),
            _fields(body, "name", "url", "types", "store_ids", "product_ids", "fifo", "status"),
            claim=self.claim(request, _changed),
            precondition=precondition(expected_of(request, body.expected_version), body, _values),
        )
        return tagged(answered(changed, _changed))

    @describe(
        "deleteWebhook",
        "Delete a webhook, with all waiting deliveries",
        answers={200: contract.WebhookDeletedOut},
        idempotent=True,
    )
    def delete(self, request: Request, webhook_id: str) -> HttpResponse:
        """Deletes a webhook. Events that wait for it are not sent."""

        def render(_: None) -> StoredAnswer:
            return rendered(contract.WebhookDeletedOut(webhook_id=webhook_id.lower()))

        claim = self.claim(request, render)
        return answered(managing.delete(self.actor(request), _id(webhook_id), claim=claim), render)


class WebhookAttemptsView(ApiView):
    """The log of a webhook's attempts."""

    allowed: ClassVar = {"GET": Capability.READ_WEBHOOKS}

    @describe(
        "listWebhookAttempts",
        "List attempts to deliver events",
        query=contract.AttemptsQuery,
        answers={200: contract.AttemptPageOut},
    )
    def get(self, request: Request, webhook_id: str) -> HttpResponse:
        """Lists the attempts to deliver events, the newest first."""
        query = decode_query(request, contract.AttemptsQuery)
        found = WebhookAttempt.objects.filter(subscription_id=_visible(self, request, webhook_id).pk)
        if query.event_id is not None:
            found = found.filter(event_id=_event_id(query.event_id))
        if query.delivered is not None:
            found = found.filter(is_delivered=query.delivered)
        attempts, following = page_of(found, query, newest_first=True)
        return respond(contract.AttemptPageOut(items=[_attempt_out(row) for row in attempts], next=following))


class WebhookCommandView(ApiView):
    """The base of the commands on a webhook."""

    allowed: ClassVar = {"POST": Capability.MANAGE_WEBHOOKS}


class WebhookTestView(WebhookCommandView):
    """Sends a test event."""

    @describe(
        "testWebhook",
        "Send a test event",
        answers={202: contract.QueuedOut},
        refusals=(WebhookDisabled,),
        idempotent=True,
    )
    def post(self, request: Request, webhook_id: str) -> HttpResponse:
        """Sends a test event to a webhook."""
        claim = self.claim(request, _queued)
        return answered(managing.send_test(self.actor(request), _id(webhook_id), claim=claim), _queued)


class WebhookResendView(WebhookCommandView):
    """Sends events again."""

    @describe(
        "resendWebhookEvents",
        "Send events again",
        body=contract.ResendIn,
        answers={202: contract.QueuedOut},
        refusals=(Archived, WebhookDisabled),
        idempotent=True,
    )
    def post(self, request: Request, webhook_id: str) -> HttpResponse:
        """Sends events again: one event, those of a period, or those that failed."""
        body = decode(request, contract.ResendIn)
        actor, id_, claim = self.actor(request), _id(webhook_id), self.claim(request, _queued)
        if body.event_id is not None:
            return answered(managing.resend_event(actor, id_, _event_id(body.event_id), claim=claim), _queued)
        if body.since is not None:
            return answered(managing.resend_since(actor, id_, body.since, body.until, claim=claim), _queued)
        return answered(managing.resend_failed(actor, id_, claim=claim), _queued)


class WebhookRotateView(WebhookCommandView):
    """Makes new signing keys."""

    @describe(
        "rotateWebhookSecret",
        "Make a new secret and a new key pair",
        body=contract.RotateIn,
        answers={200: contract.WebhookSecretOut},
        refusals=(TooManySecrets,),
        idempotent=True,
    )
    def post(self, request: Request, webhook_id: str) -> HttpResponse:
        """Makes a new secret and a new key pair. Requests are signed with the old ones, too, for as long as the request
        says."""
        body = decode(request, contract.RotateIn)
        rotated = managing.rotate(
            self.actor(request),
            _id(webhook_id),
            overlap_hours=body.overlap_hours,
            claim=self.claim(request, _without_secret(200)),
        )
        return answered(rotated, _with_secret(200))


def _id(webhook_id: str) -> UUID:
    return id_in_path(HOOK, webhook_id, "a webhook")


def _event_id(text: str) -> UUID:
    """The UUID of an event's id that was validated."""
    return UUID(text.partition("-")[2])


def _visible(view: ApiView, request: Request, webhook_id: str) -> WebhookSubscription:
    """A webhook in the client's reach. Raises NotFound."""
    found = with_counts(managing.visible_to(view.actor(request))).filter(pk=_id(webhook_id)).first()
    if found is None:
        raise NotFound("There is no such webhook.")
    return found


def _fields(body: msgspec.Struct, *names: str) -> dict[str, Any]:
    """The fields of a body that were given, by the model's names. Lists have each value once."""
    given = {name: getattr(body, name) for name in names if getattr(body, name) is not UNSET}
    return {
        _COLUMNS.get(name, name): sorted(set(value)) if isinstance(value, list) else value
        for name, value in given.items()
    }


def _values(webhook: WebhookSubscription) -> Mapping[str, Any]:
    """The values of a webhook by the names of its body."""
    same = {name: getattr(webhook, name) for name in ("name", "url", "types", "product_ids", "fifo", "status")}
    return same | {"store_ids": webhook.store_codes}


def _out(webhook: WebhookSubscription) -> dict[str, Any]:
    return {
        "webhook_id": public_id(HOOK, webhook.pk),
        "name": webhook.name,
        "url": webhook.url,
        "types": webhook.types,
        "store_ids": webhook.store_codes,
        "product_ids": webhook.product_ids,
        "fifo": webhook.fifo,
        "status": webhook.status,
        "disabled_reason": webhook.disabled_because or None,
        "failing_since": webhook.failing_since,
        "missed_at": webhook.missed_at,
        "waiting": getattr(webhook, "waiting", 0),
        "failed": getattr(webhook, "failed", 0),
        "public_keys": keys.public_keys(webhook.keys),
        "created_at": webhook.created_at,
        "version": webhook.version,
    }


def _webhook_out(webhook: WebhookSubscription) -> contract.WebhookOut:
    return contract.WebhookOut(**_out(webhook))


def _changed(changed: Changed) -> StoredAnswer:
    return rendered(_webhook_out(counted(changed.webhook)))


def _with_secret(status: int) -> Callable[[Changed], StoredAnswer]:
    def render(changed: Changed) -> StoredAnswer:
        out = _out(counted(changed.webhook))
        return rendered(contract.WebhookSecretOut(**out, secret=changed.secret), status)

    return render


def _without_secret(status: int) -> Callable[[Changed], StoredAnswer]:
    """The answer as it is stored for replays: the secret isn't stored in clear."""

    def render(changed: Changed) -> StoredAnswer:
        return _with_secret(status)(Changed(changed.webhook))

    return render


_created: Final = _with_secret(201)
_created_without_secret: Final = _without_secret(201)


def _queued(queued: Queued) -> StoredAnswer:
    event_id = None if queued.event_id is None else public_id(EVENT, queued.event_id)
    out = contract.QueuedOut(webhook_id=public_id(HOOK, queued.webhook.pk), event_id=event_id, count=queued.count)
    return rendered(out, 202)


def _attempt_out(attempt: WebhookAttempt) -> contract.AttemptOut:
    return contract.AttemptOut(
        attempt_id=attempt.pk,
        at=attempt.at,
        event_id=public_id(EVENT, attempt.event_id),
        type=attempt.type,
        key=attempt.key,
        number=attempt.number,
        url=attempt.url,
        request_headers=attempt.request,
        request_bytes=attempt.bytes,
        status=attempt.status,
        answer=attempt.answer,
        milliseconds=attempt.milliseconds,
        delivered=attempt.is_delivered,
    )
