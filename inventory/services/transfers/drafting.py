"""Draft a transfer line by line: the drafts that a person scans in the console.

They are drafts like any other (``commands``), so that anybody who may touch their source may go on with them. Only
their lines are changed one by one, and those changes are not recorded in the audit; what is sent is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.db.statements import one_statement
from audit.idempotency import advisory_lock
from audit.recording import record
from inventory import transactions
from inventory.locking import read_clock
from inventory.models import Transfer
from inventory.services.drafts import lines
from inventory.services.drafts.lines import ChangedLines, LineCommand
from inventory.services.drafts.receiving import merged_details, require_account
from inventory.services.transfers import documents
from inventory.services.transfers.commands import draft_entry
from inventory.services.transfers.documents import TransferDocument, TransferStatus
from inventory.services.transfers.preconditions import lock_seen, require_draft, require_touchable
from inventory.services.transfers.routes import route_between


@dataclass(frozen=True, slots=True)
class TransferDetails:
    """The details of a draft of a transfer, besides its lines; warehouses by code."""

    from_warehouse: str
    to_warehouse: str
    reference: str = ""
    reason: str = ""
    expected_delivery: datetime | None = None


def open_draft(actor: Actor, source: str, destination: str) -> UUID:
    """The id of the actor's own draft from one warehouse to another, the newest if there are several; an empty one is
    made if there is none.

    Raises Invalid (the same warehouse), UnknownWarehouse (also for one out of reach), PermissionDenied (an actor
    without an account), Busy. Locks: the actor's drafts of this route, by an advisory lock.
    """
    return transactions.run(partial(_open_draft, actor, source, destination, uuid7()))


def _open_draft(actor: Actor, source: str, destination: str, new_id: UUID) -> UUID:
    account_id, ends = require_account(actor), route_between(actor, source, destination)
    with connection.cursor() as cursor:
        lock = advisory_lock("draft", str(account_id), source, destination)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
    drafts = Transfer.objects.drafted_by(actor)
    own = drafts.filter(from_warehouse=ends[0].id, to_warehouse=ends[1].id).order_by("-id")
    if found := own.values_list("id", flat=True).first():
        return found
    now = read_clock()
    began = (actor.name, now)
    drafted = TransferDocument(new_id, TransferStatus.PENDING, *ends, "", "", None, *began, account_id=account_id)
    with one_statement():
        documents.insert(drafted)
        record([draft_entry(actor, "created", drafted)], now=now)
    return new_id


def change_lines(actor: Actor, transfer_id: UUID, commands: Sequence[LineCommand]) -> ChangedLines:
    """Carry out commands on the lines of a draft, each once.

    Raises NotFound, TransferAlreadySent, TransferClosed, WarehouseNotInStore, Busy. Locks the transfer.
    """
    return transactions.run(partial(_change_lines, actor, transfer_id, commands))


def _change_lines(actor: Actor, transfer_id: UUID, commands: Sequence[LineCommand]) -> ChangedLines:
    found = _locked(actor, transfer_id)
    before = {item.stock_id: item.quantity for item in found.items}
    merged = lines.merge(commands, before, lines.known_commands(transfer_id, commands))
    if any(outcome.verdict == "done" for outcome in merged.outcomes):
        documents.write_draft_items(transfer_id, *lines.changed_products(before, merged.quantities))
        lines.record_commands(transfer_id, merged.outcomes, read_clock())
    return merged


def set_details(actor: Actor, transfer_id: UUID, details: TransferDetails, seen: TransferDetails) -> None:
    """Change the details of a draft that differ from what the person saw; its lines stay.

    Raises NotFound, TransferAlreadySent, TransferClosed, WarehouseNotInStore, DraftChanged, Invalid (the same warehouse
    twice), UnknownWarehouse, Busy. Locks the transfer.
    """

    def work() -> None:
        found = _locked(actor, transfer_id)
        now = details_of(found)
        merged = merged_details(details, seen, now)
        if merged == now:
            return
        source, destination = route_between(actor, merged.from_warehouse, merged.to_warehouse)
        changed = replace(
            found,
            source=source,
            destination=destination,
            reference=merged.reference,
            reason=merged.reason,
            expected_delivery=merged.expected_delivery,
        )
        changed_at = read_clock()
        with one_statement():
            documents.rewrite_details(changed)
            record([draft_entry(actor, "changed", changed)], now=changed_at)

    transactions.run(work)


def details_of(document: TransferDocument) -> TransferDetails:
    """The details of a draft."""
    ends = document.source.code, document.destination.code
    return TransferDetails(*ends, document.reference, document.reason, document.expected_delivery)


def _locked(actor: Actor, transfer_id: UUID) -> TransferDocument:
    found = lock_seen(transfer_id, actor)
    require_draft(found)
    require_touchable(actor, found.source)
    return found
