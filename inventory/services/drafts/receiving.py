"""Drafts of deliveries and arrivals: begun, scanned line by line, discarded. ``posting.py`` posts them.

A draft belongs to the account that began it, and can be seen and changed only while its warehouse is in that account's
reach. That of an account that is switched off or deleted can be taken over. Drafts change no stock, and their lines are
not recorded in the audit one by one: what is posted, taken over, discarded or expired is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, connection
from uuid_utils.compat import uuid7

from audit.actions import Action
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import one_statement, write
from audit.errors import Fault, NotFound, PermissionDenied
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import DraftChanged, DraftPosted, UnknownWarehouse
from inventory.locking import read_clock
from inventory.models import ReceivingDraft, ReceivingDraftLine, Transfer, TransferLine, Warehouse
from inventory.services.drafts import lines
from inventory.services.drafts.lines import ChangedLines, LineCommand
from inventory.services.transfers.preconditions import lock_seen, require_on_the_way, require_touchable


@dataclass(frozen=True, slots=True)
class DraftDetails:
    """The details of a draft, besides its lines. ``warehouse`` is a code; only deliveries have it and ``reference``."""

    warehouse: str
    reference: str = ""
    note: str = ""


_OPEN: Final = """
INSERT INTO inventory_receivingdraft (id, account_id, owner, warehouse_id, transfer_id, reference, note, version,
    created_at, changed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, 1, %s, %s) ON CONFLICT DO NOTHING
"""


def open_delivery(actor: Actor, warehouse: str, reference: str, note: str = "") -> UUID:
    """The id of the actor's open draft of this delivery, which is made if there is none.

    Raises UnknownWarehouse (also for an inactive one, and one out of reach), Busy.
    """
    new_id = uuid7()

    def work() -> UUID:
        place = _warehouse_id(actor, warehouse)
        return _opened(actor, ReceivingDraft(pk=new_id, warehouse_id=place, reference=reference, note=note))

    return transactions.run(work)


def open_arrival(actor: Actor, transfer_id: UUID) -> UUID:
    """The id of the actor's open draft of what arrives of a transfer, which is made if there is none.

    Raises NotFound (also if the destination is out of reach), TransferNotSent, TransferClosed, WarehouseNotInStore,
    Busy. Locks the transfer.
    """
    new_id = uuid7()

    def work() -> UUID:
        found = lock_seen(transfer_id, actor)
        require_touchable(actor, found.destination)
        require_on_the_way(found)
        return _opened(actor, ReceivingDraft(pk=new_id, warehouse_id=found.destination.id, transfer_id=found.id))

    return transactions.run(work)


def _opened(actor: Actor, draft: ReceivingDraft) -> UUID:
    """Write a draft, unless the actor has an open one of the same subject. Returns the id of the open one."""
    now, owner = read_clock(), (require_account(actor), actor.name)
    ends = (draft.warehouse_id, draft.transfer_id)
    write(_OPEN, [draft.pk, *owner, *ends, draft.reference, draft.note, now, now])
    opened: UUID = _same(actor.account_id, draft).values_list("id", flat=True).get()
    return opened


def require_account(actor: Actor) -> int:
    """The id of the actor's account. Raises PermissionDenied for an actor without one."""
    if actor.account_id is None:
        raise PermissionDenied("Drafts belong to accounts of staff.")
    return actor.account_id


def _same(account_id: int | None, draft: ReceivingDraft) -> Any:
    """An account's open drafts of the same delivery or transfer as ``draft``."""
    own = ReceivingDraft.objects.open().filter(account_id=account_id, transfer=draft.transfer_id)
    return own if draft.transfer_id else own.filter(warehouse=draft.warehouse_id, reference=draft.reference)


def _warehouse_id(actor: Actor, code: str) -> UUID:
    seen = Warehouse.objects.visible_to(actor).filter(is_active=True, code=code)
    found: UUID | None = seen.values_list("id", flat=True).first()
    if found is None:
        raise UnknownWarehouse.at("/warehouse", f"There is no warehouse {code}.")
    return found


def lock_draft(actor: Actor, draft_id: UUID) -> ReceivingDraft:
    """Lock and read an actor's draft, before any other document. Raises NotFound, also if it is another person's, or
    its warehouse isn't in reach any more. Requires an open transaction."""
    rows = ReceivingDraft.objects.own(actor).select_related("warehouse")
    found = rows.select_for_update(no_key=True, of=("self",)).filter(pk=draft_id).first()
    if found is None:
        raise NotFound("There is no such draft.")
    return found


def lock_open_draft(actor: Actor, draft_id: UUID) -> ReceivingDraft:
    """``lock_draft``, which also raises DraftPosted."""
    found = lock_draft(actor, draft_id)
    if found.posted_at is not None:
        raise DraftPosted("This was posted before. Nothing was changed.")
    return found


def quantities_of(draft_id: UUID) -> dict[UUID, int]:
    """The units of a draft's lines, by product, in the order in which they were added."""
    rows = ReceivingDraftLine.objects.filter(draft=draft_id).order_by("id")
    return dict(rows.values_list("product_id", "quantity"))


_WRITE_LINES: Final = """
INSERT INTO inventory_receivingdraftline (id, draft_id, product_id, quantity)
SELECT id, %s, product_id, quantity FROM unnest(%s::uuid[], %s::uuid[], %s::int[]) AS t (id, product_id, quantity)
ON CONFLICT (draft_id, product_id) DO UPDATE SET quantity = EXCLUDED.quantity
"""
_TOUCH: Final = "UPDATE inventory_receivingdraft SET version = version + 1, changed_at = %s WHERE id = %s"


def change_lines(actor: Actor, draft_id: UUID, commands: Sequence[LineCommand]) -> ChangedLines:
    """Carry out commands on the lines of a draft, each once. An arrival takes only products of its transfer.

    Raises NotFound, DraftPosted, Busy. Locks the draft.
    """
    return transactions.run(partial(_change_lines, actor, draft_id, commands))


def _change_lines(actor: Actor, draft_id: UUID, commands: Sequence[LineCommand]) -> ChangedLines:
    draft = lock_open_draft(actor, draft_id)
    before = quantities_of(draft_id)
    known = lines.known_commands(draft_id, commands)
    if draft.transfer_id is None:
        merged = lines.merge(commands, before, known)
    else:
        rows = TransferLine.objects.filter(transfer=draft.transfer_id).values_list("product_id", "in_transit")
        expected = {product: max(units, lines.MOST_UNITS) for product, units in rows}
        merged = lines.merge(commands, before, known, lambda product: expected.get(product, 0))
    version = draft.version
    if any(outcome.verdict == "done" for outcome in merged.outcomes):
        now = read_clock()
        written, removed = lines.changed_products(before, merged.quantities)
        _delete_lines(draft_id, removed)
        ids = columns.uuids(uuid7() for _ in written)
        write(_WRITE_LINES, [draft_id, ids, columns.uuids(written), columns.ints(written.values())])
        lines.record_commands(draft_id, merged.outcomes, now)
        write(_TOUCH, [now, draft_id])
        version += 1
    return ChangedLines(merged.outcomes, merged.quantities, str(version))


def _delete_lines(draft_id: UUID, products: Sequence[UUID]) -> None:
    if products:
        sql = "DELETE FROM inventory_receivingdraftline WHERE draft_id = %s AND product_id = ANY(%s)"
        write(sql, [draft_id, columns.uuids(products)])


_SET_DETAILS: Final = """
UPDATE inventory_receivingdraft SET warehouse_id = %s, reference = %s, note = %s, version = version + 1,
    changed_at = %s WHERE id = %s
"""


def set_details(actor: Actor, draft_id: UUID, details: DraftDetails, seen: DraftDetails) -> None:
    """Change the details of a draft that differ from what the person saw. Of an arrival only the note changes.

    Raises NotFound, DraftPosted, DraftChanged (such a detail was changed meanwhile, or there is another open draft of
    this delivery), UnknownWarehouse, Busy. Locks the draft.
    """
    words = "You have another open delivery with this reference. Continue that one."

    def work() -> None:
        draft = lock_open_draft(actor, draft_id)
        now = DraftDetails(draft.warehouse.code, draft.reference, draft.note)
        merged = merged_details(details, seen, now)
        if draft.transfer_id is not None:
            merged = DraftDetails(now.warehouse, now.reference, merged.note)
        if merged == now:
            return
        place = draft.warehouse_id if merged.warehouse == now.warehouse else _warehouse_id(actor, merged.warehouse)
        wanted = ReceivingDraft(warehouse_id=place, transfer_id=draft.transfer_id, reference=merged.reference)
        if _same(draft.account_id, wanted).exclude(pk=draft_id).exists():
            raise _another_is_open(words)
        write(_SET_DETAILS, [place, merged.reference, merged.note, read_clock(), draft_id])

    _run_as_only_one(work, words)


def merged_details(wanted: Any, seen: Any, now: Any) -> Any:
    """The details (a dataclass) with the fields changed that the person changed; other tabs' changes of other fields
    stay. Raises DraftChanged, with both values, for a field that both changed."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name in (field.name for field in fields(wanted)):
        own, old, present = getattr(wanted, name), getattr(seen, name), getattr(now, name)
        values[name] = present if own == old else own
        if own not in (old, present) and present != old:
            facts = {"now": str(present), "yours": str(own)}
            faults.append(Fault(f"/{name}", DraftChanged.code, f"It is “{present}” now, not “{old}”.", facts))
    if faults:
        raise DraftChanged("The draft was changed in another tab or on another device.", faults)
    return type(wanted)(**values)


def _run_as_only_one(work: Callable[[], None], words: str) -> None:
    """Run a transaction that looks for another open draft of the same, and then writes. Raises DraftChanged with these
    words if one was begun in between, which the unique constraint refuses."""
    try:
        transactions.run(work)
    except IntegrityError as error:
        if "draft_once" not in str(error):
            raise
        raise _another_is_open(words) from error


def _another_is_open(words: str) -> DraftChanged:
    return DraftChanged(words, [Fault("/reference", DraftChanged.code, words)])


_TAKE_OVER: Final = """
UPDATE inventory_receivingdraft SET account_id = %s, owner = %s, version = version + 1, changed_at = %s WHERE id = %s
"""


def take_over(actor: Actor, draft_id: UUID) -> None:
    """Make the draft of an account that is switched off or deleted one of the actor's own. Nothing is done if it is
    that already.

    Raises NotFound (also for the draft of an active account, one that was posted, and one out of reach), DraftChanged
    (the actor has an open draft of the same), PermissionDenied (an actor without an account), Busy. Locks the draft.
    """
    words = "You have an open draft of this yourself. Post or discard that one first."

    def work() -> None:
        account_id = require_account(actor)
        if ReceivingDraft.objects.own(actor).open().filter(pk=draft_id).exists():
            return
        left = ReceivingDraft.objects.left_behind(actor).open().select_related("warehouse")
        draft = left.select_for_update(no_key=True, of=("self",)).filter(pk=draft_id).first()
        if draft is None:
            raise NotFound("There is no such draft.")
        if _same(account_id, draft).exists():
            raise _another_is_open(words)
        now, quantities = read_clock(), quantities_of(draft_id)
        entry = entry_of_draft(actor, draft, quantities, actions.DRAFT_TAKEN_OVER)
        with one_statement():
            write(_TAKE_OVER, [account_id, actor.name, now, draft_id])
            record([entry], now=now)

    _run_as_only_one(work, words)


def discard(actor: Actor, draft_id: UUID) -> None:
    """Delete a draft with all its lines, which the audit keeps.

    Raises NotFound, DraftPosted, Busy. Locks the draft.
    """

    def work() -> None:
        draft = lock_open_draft(actor, draft_id)
        record([entry_of_draft(actor, draft, quantities_of(draft_id), actions.DRAFT_DISCARDED)], now=read_clock())
        delete_drafts([draft_id])

    transactions.run(work)


def entry_of_draft(actor: Actor, draft: ReceivingDraft, quantities: Mapping[UUID, int], action: Action) -> Entry:
    """The audit entry of a draft that was taken over, or that ended without being posted, with its lines."""
    facts: dict[str, Any] = {"warehouseId": draft.warehouse.code, "reference": draft.reference, "owner": draft.owner}
    if draft.transfer_id is not None:
        facts["transferId"] = Transfer(pk=draft.transfer_id).public_id
    listed = [{"productId": product, "quantity": units} for product, units in quantities.items()]
    return Entry(actor, action, draft.pk, facts | {"lines": listed})


def delete_drafts(ids: Sequence[UUID]) -> None:
    """Delete drafts with their lines and commands. Requires their locks."""
    wanted = columns.uuids(ids)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM inventory_draftcommand WHERE draft = ANY(%s)", [wanted])
        cursor.execute("DELETE FROM inventory_receivingdraftline WHERE draft_id = ANY(%s)", [wanted])
    write("DELETE FROM inventory_receivingdraft WHERE id = ANY(%s)", [wanted])
