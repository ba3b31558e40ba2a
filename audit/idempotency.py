"""Idempotency keys: claim, replay, conflict (docs/explanation/rules.md, rule 20).

A claim is a transaction-level advisory lock that is tried, never waited for. The statement after it reads the stored
answer, so that the holder of the lock sees what the previous holder committed. Key and answer are inserted in the
transaction that does the work, and only if the work was done: refusals are not stored.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import is_writing, write
from audit.errors import DomainError, IdempotencyInProgress, IdempotencyKeyReused
from audit.metrics.definitions import IDEMPOTENT_REPLAYS


class StoredAnswer(msgspec.Struct, frozen=True, gc=False):
    """The first answer to a request, which replays return. ``body`` is JSON."""

    status: int
    body: bytes


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A request's idempotency key. ``fingerprint`` is the SHA-256 of its method, path and body and of who sends it;
    ``render`` makes the answer from the service's result, so that it can be stored in the same transaction.

    ``parsed_fingerprint`` is that of the body without its spelling (``audit.api.json_bodies.canonical``). A request is
    repeated if either is the same: answers that were stored before there was the second, or by a process of a release
    before it, are recognised by the first.
    """

    client_id: UUID
    key: str
    fingerprint: bytes
    render: Callable[[Any], StoredAnswer]
    parsed_fingerprint: bytes | None = None

    @property
    def lock(self) -> int:
        """The key's advisory lock, a signed 64-bit number."""
        return advisory_lock("idempotency", str(self.client_id), self.key)


Verdict = StoredAnswer | IdempotencyInProgress | IdempotencyKeyReused | None


def advisory_lock(*names: str) -> int:
    """A signed 64-bit number for a name in parts. The parts are separated: ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def fingerprint(method: str, path: str, body: bytes, reach: bytes = b"") -> bytes:
    """The SHA-256 that recognises a repeated request.

    ``reach`` is what the sender may see and do, as bytes. It is included so that whoever has less reach than before is
    refused (IdempotencyKeyReused) instead of getting an answer about what is out of reach now.
    """
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), reach, body))).digest()


WAIT_FOR_LOCKS: Final = (
    "SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) WITH ORDINALITY AS t (k, n) ORDER BY n"
)
"""Takes advisory locks, until the end of the transaction, in the order of the list."""

_TRY_LOCKS: Final = (
    "SELECT pg_try_advisory_xact_lock(k) FROM unnest(%s::bigint[]) WITH ORDINALITY AS t (k, n) ORDER BY n"
)

TAKEN_LOCKS: Final = """
SELECT k FROM unnest(%s::bigint[]) AS t (k)
WHERE CASE WHEN (SELECT set_config('lock_timeout', %s, true)) <> '' THEN NOT pg_try_advisory_xact_lock_shared(k) END
"""
"""Selects those of these advisory locks that another session holds, and takes the others, shared: no other session gets
them exclusively until the transaction ends, or the statements that are sent together. Until then these wait for other
locks, such as those of tables, no longer than ``lock_timeout``, the second parameter."""

_STORED: Final = """
SELECT k.client_id, k.key, k.fingerprint, k.parsed_fingerprint, k.status, k.body, statement_timestamp()
FROM audit_idempotencykey k JOIN unnest(%s::uuid[], %s::text[]) AS t (client_id, key) USING (client_id, key)
WHERE k.created_at > statement_timestamp() - make_interval(secs => %s)
"""

_INSERT: Final = """
INSERT INTO audit_idempotencykey (id, client_id, key, fingerprint, parsed_fingerprint, status, body, created_at)
SELECT id, client_id, key, fingerprint, nullif(parsed_fingerprint, ''), status, body, %s
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bytea[], %s::bytea[], %s::int[], %s::bytea[])
AS t (id, client_id, key, fingerprint, parsed_fingerprint, status, body)
ON CONFLICT (client_id, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint,
    parsed_fingerprint = EXCLUDED.parsed_fingerprint, status = EXCLUDED.status, body = EXCLUDED.body,
    created_at = EXCLUDED.created_at
"""


def lifetime() -> timedelta:
    """How long stored answers are kept for replays."""
    return timedelta(hours=settings.IDEMPOTENCY_KEY_HOURS)


def claim_all(claims: Sequence[Claim | None]) -> list[Verdict]:
    """Claim the keys of a batch. Returns for each request, in order, the answer to give instead of working, or None to
    proceed.

    If a key occurs twice in a batch, its first request gets it; the lock alone would let both pass, since a session can
    take its own lock again. Two statements, none without claims. Requires an open transaction; never waits.
    """
    wanted = {claim.lock: claim for claim in reversed(claims) if claim}
    if not wanted:
        return [None] * len(claims)
    locks = sorted(wanted)
    clients = columns.uuids(claim.client_id for claim in wanted.values())
    keys = columns.texts(claim.key for claim in wanted.values())
    with connection.cursor() as of_locks, connection.cursor() as of_answers:
        of_locks.execute(_TRY_LOCKS, [locks])
        of_answers.execute(_STORED, [clients, keys, lifetime().total_seconds()])
        held = {lock for lock, (ok,) in zip(locks, of_locks.fetchall(), strict=True) if ok}
        rows = of_answers.fetchall()
    stored = {(row[0], row[1]): _Stored(*row[2:]) for row in rows}
    verdicts: list[Verdict] = []
    for claim in claims:
        verdicts.append(_verdict(claim, held, stored))
        if claim and (claim.client_id, claim.key) not in stored:
            held.discard(claim.lock)
    if stored:
        IDEMPOTENT_REPLAYS.add_after_commit(sum(isinstance(verdict, StoredAnswer) for verdict in verdicts))
    return verdicts


def claim_one(claim: Claim | None) -> StoredAnswer | None:
    """``claim_all`` for one request. Returns the stored answer, or None to proceed.

    Raises IdempotencyInProgress or IdempotencyKeyReused.
    """
    verdict = claim_all([claim])[0]
    if isinstance(verdict, DomainError):
        raise verdict
    return verdict


_KNOWN: Final = """
SELECT k.client_id, k.key
FROM audit_idempotencykey k JOIN unnest(%s::uuid[], %s::text[]) AS t (client_id, key) USING (client_id, key)
WHERE k.created_at > statement_timestamp() - make_interval(secs => %s)
"""


class StoredKeys:
    """A query for the keys that have a stored answer. It is sent at once and read later, so that in a pipeline it
    shares a round trip with other statements."""

    def __init__(self, claims: Collection[Claim]) -> None:
        clients, keys = columns.uuids(claim.client_id for claim in claims), columns.texts(claim.key for claim in claims)
        self._cursor: Any = connection.cursor()
        self._cursor.execute(_KNOWN, [clients, keys, lifetime().total_seconds()])

    def answer(self) -> set[tuple[UUID, str]]:
        """The clients and keys of the stored answers."""
        with self._cursor as cursor:
            return set(cursor.fetchall())


class _Stored(NamedTuple):
    """A stored answer as it is read, and when: by the database's clock."""

    fingerprint: bytes
    parsed_fingerprint: bytes | None
    status: int
    body: bytes
    read_at: datetime

    def is_of(self, claim: Claim) -> bool:
        """Whether it is the answer to the same request."""
        parsed = self.parsed_fingerprint
        return bytes(self.fingerprint) == claim.fingerprint or (
            parsed is not None and bytes(parsed) == claim.parsed_fingerprint
        )


def _verdict(claim: Claim | None, held: set[int], stored: dict[tuple[UUID, str], _Stored]) -> Verdict:
    if claim is None:
        return None
    if first := stored.get((claim.client_id, claim.key)):
        if not first.is_of(claim):
            return IdempotencyKeyReused("This Idempotency-Key was used before, for another request.")
        return StoredAnswer(first.status, with_time_left(bytes(first.body), first.read_at))
    if claim.lock not in held:
        return IdempotencyInProgress("The first request with this Idempotency-Key is still running.")
    return None


def with_time_left(body: bytes, now: datetime) -> bytes:
    """A stored answer with each ``expiresInSeconds`` counted anew, from ``now`` to the ``expiresAt`` beside it.

    A second that has begun counts, so that a repetition in the same second gets the same answer.
    """
    if b'"expiresInSeconds"' not in body:
        return body
    answer = msgspec.json.decode(body)
    _count_anew(answer, now)
    return msgspec.json.encode(answer)


def _count_anew(value: Any, now: datetime) -> None:
    if isinstance(value, dict) and isinstance(value.get("expiresInSeconds"), int):
        left = (datetime.fromisoformat(value["expiresAt"]) - now).total_seconds()
        value["expiresInSeconds"] = max(0, min(value["expiresInSeconds"], ceil(left)))
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _count_anew(child, now)


def store_all(results: Iterable[tuple[Claim | None, Any]], *, now: datetime) -> None:
    """Store the answers to a batch's results with one statement; nothing in a transaction that has changed nothing.

    Such a request can be sent again without a stored answer, and so can't fill the table. Requires an open transaction
    and these claims; called after the writes of the results.
    """
    if not is_writing():
        return
    answers = [(claim, claim.render(result)) for claim, result in results if claim]
    if not answers:
        return
    write(
        _INSERT,
        [
            now,
            columns.uuids(uuid7() for _ in answers),
            columns.uuids(claim.client_id for claim, _ in answers),
            columns.texts(claim.key for claim, _ in answers),
            columns.blobs(claim.fingerprint for claim, _ in answers),
            columns.blobs(claim.parsed_fingerprint or b"" for claim, _ in answers),
            columns.ints(answer.status for _, answer in answers),
            columns.blobs(answer.body for _, answer in answers),
        ],
    )


_PURGE: Final = """
DELETE FROM audit_idempotencykey WHERE id IN (
    SELECT id FROM audit_idempotencykey WHERE created_at <= statement_timestamp() - make_interval(secs => %s)
    ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def purge(*, batch_size: int = 5000) -> int:
    """Delete keys past their lifetime, one batch per transaction. Skips locked rows. Returns the number deleted."""
    total: int = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PURGE, [lifetime().total_seconds(), batch_size])
            total += cursor.rowcount
            if cursor.rowcount < batch_size:
                return total
