"""Import of files: change on hand by the lines of a file, by the rules of adjustments: all lines, or all valid ones.

An audit entry, written in the transaction of the lines, records which rows were imported, by the file's content. So
importing the same file again, also after a crash half way, applies the remaining lines and none twice. Lines that were
booked in another way, such as with a file of other bytes and the same rows, are left out, too, unless they are named.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.imports.rows import RowFault
from audit.db.statements import Progress, no_progress, one_statement
from audit.errors import IdempotencyInProgress
from audit.idempotency import Claim, StoredAnswer, advisory_lock, claim_one, store_all
from audit.identifiers import ADJUSTMENT, public_id
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.locking import Counters, LockedLevels, lock_levels
from inventory.models import QUANTITY_LIMIT, Movement
from inventory.services.stock.adjustment_lines import adjusted_events
from inventory.services.stock.adjustments import AdjustRequest, write_placed
from inventory.services.stock.documents import draw_document, write_document
from inventory.services.stock.import_files import FileLine, ImportFile
from inventory.services.stock.import_history import Booking, booked_before, rows_done, standing
from inventory.services.stock.import_places import BATCH, PlacedLine, place_lines, read_counters, with_levels
from inventory.services.stock.ledger import Ledger
from inventory.services.stock.returns import ReturnBounds

_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import: how many lines were applied now (in a dry run: would be), how many were left out because
    they were booked before, and the faults of the others, in the file's order.

    ``repeated`` are those left out that were booked in another way than by this file, as faults that say when;
    ``restored`` those applied although they were booked before, because that was reversed. ``document`` is the short
    number of the document of what was posted by hand, ``RC-1042``; empty for anything else.
    """

    applied: int
    before: int
    bad: tuple[RowFault, ...]
    repeated: tuple[RowFault, ...] = field(default=(), compare=False)
    restored: tuple[RowFault, ...] = field(default=(), compare=False)
    document: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class _Outcome:
    applied: int
    before: int
    bad: Sequence[RowFault]
    document: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """A line with on hand before and after it, in units. The lines of one level build on each other."""

    line: FileLine
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ImportForecast:
    """The forecast of an import: the effects of its lines, the lines that were booked before, and the faults of others.

    Lines booked before are left out, and have no effect; ``restored`` are those whose bookings were reversed, which
    aren't left out.
    """

    effects: tuple[Effect, ...]
    booked: tuple[tuple[FileLine, Booking], ...]
    bad: tuple[RowFault, ...]
    restored: tuple[RowFault, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The lines of a file: those to book, with their levels, those that were booked before, and the faults of others.

    ``done`` are the rows that this file has booked; ``reversed`` those to book whose earlier bookings were reversed.
    """

    placed: list[PlacedLine]
    done: Mapping[int, Booking]
    repeated: Mapping[int, Booking]
    reversed: Mapping[int, Booking]
    bad: list[RowFault]

    @property
    def before(self) -> int:
        return len(self.done) + len(self.repeated)


def _faults_of(bookings: Mapping[int, Booking]) -> tuple[RowFault, ...]:
    return tuple(RowFault(row, "", says_when(booking)) for row, booking in sorted(bookings.items()))


def says_when(booking: Booking) -> str:
    """When a line was booked, by whom, and which document has reversed that, as a predicate."""
    at = f"{timezone.localtime(booking.at):%Y-%m-%d %H:%M}"
    words = gettext("was booked before, on %(at)s by %(actor)s")
    if booking.reversed_by:
        words = gettext("was booked on %(at)s by %(actor)s, and reversed by %(reversal)s")
    return words % {"at": at, "actor": booking.actor, "reversal": booking.reversed_by}


def _sort_out(actor: Actor, file: ImportFile, again: Container[int], freeze_override: str = "") -> _Sorted:
    """Seven queries at most, whatever the number of lines; locks nothing."""
    known = rows_done(file.id)
    stands = standing(known)
    done = {line.row: stands[line.row] for line in file.lines if line.row in stands and line.row not in again}
    placed, bad = place_lines(actor, [line for line in file.lines if line.row not in done], freeze_override)
    found = booked_before(file.id, [each for each in placed if each.line.row not in again])
    booked = standing(found)
    placed = [each for each in placed if each.line.row not in booked]
    fresh = {each.line.row for each in placed} - stands.keys()
    taken_back = {row: booking for row, booking in (found | known).items() if row in fresh and booking.reversed_by}
    return _Sorted(placed, done, booked, taken_back, bad)


def foresee_import(actor: Actor, file: ImportFile) -> ImportForecast:
    """Forecast ``import_stock`` line by line. Writes nothing and locks nothing; a handful of queries."""
    lines = _sort_out(actor, file, ())
    counters = read_counters(lines.placed)
    good, refused = _decide(sorted(lines.placed, key=_order), counters, _bounds(actor, lines.placed, lock=False))
    effects: list[Effect] = []
    for _level, of_level in groupby(good, key=attrgetter("level")):
        on_level = list(of_level)
        level = counters.get(on_level[0].place.level_id) if on_level[0].place.level_id else None
        on_hand = level.on_hand if level else 0
        for each in on_level:
            effects.append(Effect(each.line, on_hand, on_hand + each.change))
            on_hand += each.change
    effects.sort(key=lambda effect: effect.line.row)
    known = {**lines.done, **lines.repeated}
    booked = tuple((line, known[line.row]) for line in file.lines if line.row in known)
    bad = _in_order(file.bad, lines.bad, refused)
    return ImportForecast(tuple(effects), booked, bad, _faults_of(lines.reversed))


def plan_import(
    actor: Actor, file: ImportFile, *, skip_bad: bool, again: Container[int] = (), freeze_override: str = ""
) -> Imported:
    """Dry run of ``import_stock``, by the same rules. Writes nothing and locks nothing."""
    return _planned(actor, file, _sort_out(actor, file, again, freeze_override), skip_bad=skip_bad)


def _planned(actor: Actor, file: ImportFile, lines: _Sorted, *, skip_bad: bool) -> Imported:
    bounds = _bounds(actor, lines.placed, lock=False)
    good, refused = _decide(sorted(lines.placed, key=_order), read_counters(lines.placed), bounds)
    faults = _in_order(file.bad, lines.bad, refused)
    applied = len(good) if skip_bad or not faults else 0
    restored = _faults_of(lines.reversed) if applied else ()
    return Imported(applied, lines.before, faults, _faults_of(lines.repeated), restored)


@dataclass(frozen=True, slots=True)
class _Options:
    skip_bad: bool
    again: Container[int]
    claim: Claim | None
    before: int
    document_id: UUID


def import_stock(
    actor: Actor,
    file: ImportFile,
    *,
    skip_bad: bool = False,
    again: Container[int] = (),
    freeze_override: str = "",
    claim: Claim | None = None,
    progress: Progress = no_progress,
    document_id: UUID | None = None,
) -> Imported | StoredAnswer:
    """Apply the lines of a file that weren't booked before: all or none, in one transaction; with ``skip_bad`` all
    valid ones, one bounded batch per transaction. Skipped lines are tried again when the file is imported again.

    ``again`` are the rows to book although they were booked before; give a ``claim`` with them, so that a second call
    doesn't book them once more. A claim is for all or none. ``progress`` is called with the number of lines written so
    far. Missing levels are created beforehand, in transactions of their own (docs/explanation/rules.md, rule 8); none
    for a file that can't be applied as a whole.

    What is posted by hand has a document, whose id may be given (docs/explanation/rules.md, rule 25). Frozen goods are
    shipped only with a ``freeze_override``, the reason for it, which the audit entries keep; without it these lines are
    bad.

    Raises IdempotencyInProgress if another run is importing the same file, Busy, the errors of claims. Locks: the
    claim, the file's claim, the orders of returns, the levels by id.
    """
    if claim and (answer := transactions.run(partial(claim_one, claim), pipelined=False)):
        return answer
    lines = _sort_out(actor, file, again, freeze_override)
    if not skip_bad and (plan := _planned(actor, file, lines, skip_bad=False)).applied == 0:
        return plan
    options = _Options(skip_bad, again, claim, lines.before, document_id or uuid7())
    return _apply_all(actor, file, lines, options, progress)


def _apply_all(
    actor: Actor, file: ImportFile, lines: _Sorted, options: _Options, progress: Progress
) -> Imported | StoredAnswer:
    ordered = sorted(with_levels(lines.placed), key=_order)
    outcomes: list[_Outcome] = []
    written = 0
    for batch in _batches(ordered) if options.skip_bad else [ordered]:
        show = partial(_show_more, progress, written)
        apply = partial(_apply, actor, file, batch, options, show)
        outcome = transactions.run(apply, transactions.LONG, pipelined=False)
        if isinstance(outcome, StoredAnswer):
            return outcome
        outcomes.append(outcome)
        written += outcome.applied
        options = replace(options, document_id=uuid7())  # Each transaction has a document of its own.
    return _imported(file, lines, outcomes)


def _imported(file: ImportFile, lines: _Sorted, outcomes: Sequence[_Outcome]) -> Imported:
    """The outcome of all transactions together."""
    written = sum(outcome.applied for outcome in outcomes)
    return Imported(
        written,
        lines.before + sum(outcome.before for outcome in outcomes),
        _in_order(file.bad, lines.bad, [cell for outcome in outcomes for cell in outcome.bad]),
        _faults_of(lines.repeated),
        _faults_of(lines.reversed) if written else (),
        outcomes[0].document if outcomes else "",
    )


def _order(placed: PlacedLine) -> tuple[bytes, bool, int]:
    """The sort key of lines: by level, then additions first, as in an adjustment, then in the file's order."""
    return placed.level, placed.change < 0, placed.line.row


def _show_more(show: Progress, before: int, more: int) -> None:
    show(before + more)


def _in_order(*bad: Sequence[RowFault]) -> tuple[RowFault, ...]:
    return tuple(sorted((cell for cells in bad for cell in cells), key=lambda cell: cell.row))


def _batches(placed: Sequence[PlacedLine]) -> Iterator[Sequence[PlacedLine]]:
    for start in range(0, len(placed), BATCH):
        yield placed[start : start + BATCH]


# ----------------------------------------------------------------------------------------------------- decide and write


def _bounds(actor: Actor, placed: Sequence[PlacedLine], *, lock: bool) -> ReturnBounds:
    """What may come back, of the returns whose reference is an order."""
    wanted = {
        (each.line.reference, each.place.product_id)
        for each in placed
        if each.line.type == Movement.Type.RETURN and each.line.reference
    }
    return ReturnBounds(actor, wanted, lock=lock)


def _decide(
    ordered: Sequence[PlacedLine], counters: dict[UUID, Counters], bounds: ReturnBounds
) -> tuple[list[PlacedLine], list[RowFault]]:
    """The lines that can be applied one after the other, and the faults of the rest. On hand must not fall below
    reserved, nor exceed the limit of a level, and no more comes back than was sold: the same checks as in
    ``adjustments``, where one fault refuses all lines.
    """
    good: list[PlacedLine] = []
    bad: list[RowFault] = []
    for _, lines in groupby(ordered, key=attrgetter("level")):
        on_level = list(lines)
        level_id = on_level[0].place.level_id
        level = counters.get(level_id) if level_id else None
        on_hand, reserved = (level.on_hand, level.reserved) if level else (0, 0)
        for each in on_level:
            if on_hand + each.change > QUANTITY_LIMIT:
                detail = gettext("a level has at most %(most)s units") % {"most": QUANTITY_LIMIT}
                bad.append(RowFault(each.line.row, "quantity", detail))
            elif on_hand + each.change < reserved:
                detail = gettext("takes %(units)s away, %(free)s are free")
                detail %= {"units": -each.change, "free": on_hand - reserved}
                bad.append(RowFault(each.line.row, "quantity", detail))
            elif beyond := _beyond(each, bounds):
                bad.append(RowFault(each.line.row, "quantity", beyond))
            else:
                on_hand += each.change
                good.append(each)
    return good, bad


def _beyond(each: PlacedLine, bounds: ReturnBounds) -> str:
    """Why a line can't come back; empty if it can, or if nothing comes back."""
    line = each.line
    if line.type != Movement.Type.RETURN:
        return ""
    known = bounds.take(line.reference, each.place.product_id, line.quantity)
    if known is None:
        return ""
    words = gettext("is more than can be returned from order %(order)s: %(sold)s sold, %(returned)s returned")
    return words % {"order": line.reference, "sold": known.sold, "returned": known.returned}


def _apply(
    actor: Actor, file: ImportFile, ordered: Sequence[PlacedLine], options: _Options, show: Progress
) -> _Outcome | StoredAnswer:
    """Check and write lines. Requires an open transaction. Without ``skip_bad`` one bad line prevents all writes.

    What was booked since the lines were sorted out is known after their levels are locked: bookings of the same level
    wait for one another.
    """
    if answer := claim_one(options.claim):
        return answer
    _claim(file.id)
    bounds = _bounds(actor, ordered, lock=True)
    levels = lock_levels({each.place.level_id for each in ordered if each.place.level_id})
    mindful = [each for each in ordered if each.line.row not in options.again]
    booked = standing(rows_done(file.id)).keys() & {each.line.row for each in mindful}
    booked |= standing(booked_before(file.id, mindful)).keys()
    waiting = [each for each in ordered if each.line.row not in booked]
    good, bad = _decide(waiting, levels.by_id, bounds)
    if not good or (bad and not options.skip_bad):
        return _Outcome(0, len(booked), bad)
    _write(actor, file, good, levels, show)
    number = _write_document(actor, file, good, options.document_id, levels.now)
    imported = Imported(len(good), options.before + len(booked), (), document=number)
    store_all([(options.claim, imported)], now=levels.now)
    return _Outcome(len(good), len(booked), bad, number)


def _write_document(
    actor: Actor, file: ImportFile, good: Sequence[PlacedLine], document_id: UUID, now: datetime
) -> str:
    """Write the document of a file that is imported by hand. Returns its short number; empty if there is none."""
    lines = [each.adjustment for each in good]
    document = draw_document(actor, lines, None)
    if document is None:
        return ""
    document = replace(document, file_id=file.id, file_name=file.name[-_LONGEST_NAME:])
    write_document(document, document_id, actor, lines, now)
    return document.short_number


def _write(actor: Actor, file: ImportFile, good: Sequence[PlacedLine], levels: LockedLevels, show: Progress) -> None:
    """Write decided lines and the audit entry that names their rows. Requires the levels' locks.

    Shipments of frozen goods come last, by themselves: their entries alone keep the reason.
    """
    written, ledger = 0, Ledger(levels)
    for override in sorted({each.freeze_override for each in good}):
        for batch in _batches([each for each in good if each.freeze_override == override]):
            lines = tuple(each.adjustment for each in batch)
            request = AdjustRequest(actor, lines, id=file.id, freeze_override=override)
            with one_statement():
                applied = write_placed(request, [each.place for each in batch], levels, ledger)
                ledger.write_part(levels.now, adjusted_events(request.actor, request.id, applied))
            written += len(batch)
            show(written)
    ledger.write(levels.now, ())
    changes = {
        "adjustmentId": public_id(ADJUSTMENT, file.id),
        "file": file.name,
        "sha256": file.sha256,
        "rows": sorted(each.line.row for each in good),
    }
    record([Entry(actor, actions.STOCK_IMPORTED, file.id, changes)], now=levels.now)


def lock_of(file_id: UUID) -> int:
    """The advisory lock of a file, a signed 64-bit number."""
    return advisory_lock("import", str(file_id))


def _claim(file_id: UUID) -> None:
    """Claim a file until the end of the transaction; never waits. Raises IdempotencyInProgress."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_of(file_id)])
        if not cursor.fetchone()[0]:
            raise IdempotencyInProgress("Another run is importing this file.")
