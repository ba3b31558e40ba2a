"""Dead letters: messages that couldn't be applied, each stored with the reason until staff replay or discard it."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import write
from audit.recording import Entry, record
from inventory import transactions
from inventory.locking import read_clock
from inventory.transactions import PATIENT, Patience
from reservations import actions
from reservations.services.orders.messages import Message

_LONGEST_REASON: Final = 2000


class PutAside(msgspec.Struct, frozen=True, gc=False):
    """A message to store as a dead letter. ``code`` is the stable name of the reason; ``type`` and ``event_id`` are
    empty if they couldn't be read."""

    message: Message
    code: str
    reason: str
    type: str = ""
    event_id: str = ""

    @property
    def digest(self) -> bytes:
        """What makes it the same letter when it is read again."""
        message = self.message
        parts = (message.sender.client_id.bytes, message.place.encode(), message.body)
        return hashlib.sha256(b"\0".join(parts)).digest()


_INSERT: Final = """
INSERT INTO reservations_deadletter (id, digest, client_id, place, type, event_id, message, code, reason, received_at,
    status)
SELECT t.*, %s, 'WAITING' FROM unnest(%s::uuid[], %s::bytea[], %s::uuid[], %s::text[], %s::text[], %s::text[],
    %s::bytea[], %s::text[], %s::text[]) AS t
ON CONFLICT (digest) DO NOTHING
"""


def put_aside(letters: Sequence[PutAside], patience: Patience = PATIENT) -> None:
    """Write dead letters in a transaction of their own, and an audit entry of each. One that was stored before, and is
    read again after a crash, isn't written twice. Raises Busy. Locks only the rows that it writes."""
    if letters:
        transactions.run(lambda: _put_aside(sorted(letters, key=lambda letter: letter.digest)), patience)


def _put_aside(letters: Sequence[PutAside]) -> None:
    now = read_clock()
    ids = [uuid7() for _ in letters]
    write(
        _INSERT,
        [
            now,
            columns.uuids(ids),
            columns.blobs(letter.digest for letter in letters),
            columns.uuids(letter.message.sender.client_id for letter in letters),
            columns.texts(letter.message.place for letter in letters),
            columns.texts(letter.type for letter in letters),
            columns.texts(letter.event_id for letter in letters),
            columns.blobs(letter.message.body for letter in letters),
            columns.texts(letter.code for letter in letters),
            columns.texts(letter.reason.replace("\0", "")[:_LONGEST_REASON] for letter in letters),
        ],
    )
    record(
        [
            Entry(
                letter.message.sender.actor,
                actions.EVENT_PUT_ASIDE,
                id_,
                {"type": letter.type, "eventId": letter.event_id, "code": letter.code, "reason": letter.reason[:500]},
            )
            for id_, letter in zip(ids, letters, strict=True)
        ],
        now=now,
    )
