"""API clients and their tokens: save, issue, revoke; each change writes an audit entry.

Each command opens its own transaction. These rows have no contention, so nothing is retried.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from audit import actions, idempotency
from audit.actors import Actor
from audit.authentication import issue_token
from audit.db.statements import has_written
from audit.errors import DomainError, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.models import ApiClient, ApiToken
from audit.preconditions import Precondition, last_write_wins
from audit.recording import Entry, record

T = TypeVar("T")


class ClientNameTaken(DomainError):
    """Another client has this name."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token. ``token`` is its text in clear, which is not stored anywhere."""

    client: ApiClient
    row: ApiToken
    token: str


def put_client(
    actor: Actor,
    client_id: UUID,
    *,
    name: str,
    role: str,
    store_codes: Sequence[str],
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> ApiClient | StoredAnswer:
    """Create a client or replace its fields. Locks it.

    Raises PermissionDenied, ClientNameTaken, VersionConflict (the precondition's) and the errors of claims.
    """

    def work(now: datetime) -> ApiClient:
        actor.require_no_limit()
        fields = {"name": name, "role": role, "store_codes": sorted(set(store_codes))}
        try:
            with transaction.atomic():
                client, is_new = ApiClient.objects.select_for_update(no_key=True).get_or_create(
                    id=client_id, defaults=fields
                )
                precondition(None if is_new else client)
                changes = {field: value for field, value in fields.items() if is_new or getattr(client, field) != value}
                for field, value in changes.items():
                    setattr(client, field, value)
                client.save(update_fields=list(fields))
        except IntegrityError as error:
            raise ClientNameTaken(f"Another client is called {name}.") from error
        if changes:
            action = actions.CLIENT_CREATED if is_new else actions.CLIENT_CHANGED
            record([Entry(actor, action, client.pk, {"client": name, **changes})], now=now)
        return client

    return claimed(claim, work)


def issue(actor: Actor, client_id: UUID, *, days: int | None, claim: Claim | None) -> Issued | StoredAnswer:
    """Make a token for a client. It is valid for ``days``, or until it is revoked if that is None.

    Raises PermissionDenied, NotFound and the errors of claims. Locks the client.
    """

    def work(now: datetime) -> Issued:
        actor.require_no_limit()
        client = ApiClient.objects.select_for_update(no_key=True).filter(pk=client_id).first()
        if client is None:
            raise NotFound(f"There is no client {client_id}.")
        return add_token(actor, client, expires_at=None if days is None else now + timedelta(days=days), now=now)

    return claimed(claim, work)


def add_client(actor: Actor, *, name: str, role: str, store_codes: Sequence[str], now: datetime) -> ApiClient:
    """Create a client and record it. Requires an open transaction. Raises PermissionDenied."""
    actor.require_no_limit()
    fields = {"name": name, "role": role, "store_codes": sorted(set(store_codes))}
    client = ApiClient.objects.create(**fields)
    record([Entry(actor, actions.CLIENT_CREATED, client.pk, {"client": name, **fields})], now=now)
    return client


def add_token(actor: Actor, client: ApiClient, *, expires_at: datetime | None, now: datetime) -> Issued:
    """Make a token for a client and record it. Requires an open transaction. Raises PermissionDenied."""
    actor.require_no_limit()
    token = issue_token(client, expires_at=expires_at)
    row = ApiToken.objects.get(prefix=token.partition(".")[0])
    changes = {"client": client.name, "prefix": row.prefix, "expires_at": row.expires_at}
    record([Entry(actor, actions.TOKEN_ISSUED, row.pk, changes)], now=now)
    return Issued(client, row, token)


def revoke(actor: Actor, token_ids: Collection[UUID], *, claim: Claim | None) -> list[ApiToken] | StoredAnswer:
    """Revoke tokens for good; they stop working within ``TOKEN_CACHE_SECONDS``. Skips those revoked before.

    Returns the tokens that it revoked. Locks the tokens. Raises PermissionDenied and the errors of claims.
    """

    def work(now: datetime) -> list[ApiToken]:
        actor.require_no_limit()
        tokens = list(
            ApiToken.objects.select_for_update(of=("self",), no_key=True)
            .select_related("client")
            .filter(pk__in=token_ids, revoked_at__isnull=True)
            .order_by("pk")
        )
        ApiToken.objects.filter(pk__in=[token.pk for token in tokens]).update(revoked_at=Now())
        entries = [
            Entry(actor, actions.TOKEN_REVOKED, token.pk, {"client": token.client.name, "prefix": token.prefix})
            for token in tokens
        ]
        record(entries, now=now)
        return tokens

    return claimed(claim, work)


def claimed(claim: Claim | None, work: Callable[[datetime], T]) -> T | StoredAnswer:
    """Run ``work``, which gets the time, in a transaction of its own; or return the claim's stored answer."""
    with transaction.atomic(durable=True):
        if answer := idempotency.claim_one(claim):
            return answer
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement_timestamp()")
            now: datetime = cursor.fetchone()[0]
        has_written.set(False)
        result = work(now)
        idempotency.store_all([(claim, result)], now=now)
        return result
