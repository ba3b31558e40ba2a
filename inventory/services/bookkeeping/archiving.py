"""Archiving: move old rows from the database to files. Nothing else deletes history.

A batch is written to a file, synced and read back; then an ``ArchivedFile`` is written and committed; then the rows are
deleted in another transaction. If the run is killed at any point, each row is in the database or in a file on disk, and
the next run first finishes the interrupted one.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import write
from audit.models import ARCHIVING
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import ArchiveBusy, ArchiveRefused
from inventory.locking import read_clock
from inventory.models import ArchivedFile
from inventory.services.bookkeeping import archive_files

logger = structlog.get_logger(__name__)

ARCHIVER: Final = Actor(name="archive", client_id=None, request_id="", source="command")
YOUNGEST_DAYS: Final = 31
"""The minimum age of archived rows: days of supply are computed from the last 30 days (docs/explanation/rules.md, rule
6). It is also far longer than any transaction takes, so that no row of the archived time can still be uncommitted."""


@dataclass(frozen=True, slots=True)
class Series:
    """A kind of rows that is archived.

    ``read`` takes (before, limit) and returns (id, time, JSON document) in the order of archiving; ``count`` takes
    (before) and returns the number of rows. ``present`` takes ids and returns how many still exist. ``delete`` takes
    ids, deletes the rows in the open transaction and returns their number. ``days`` is how long rows are kept; 0 means
    for ever.
    """

    kind: ArchivedFile.Kind
    days: int
    read: str
    count: str
    present: str
    delete: Callable[[Sequence[UUID]], int]


class ArchiveRow(NamedTuple):
    """A row to be archived, as a JSON document."""

    id: UUID
    at: datetime
    document: str


class Finished(NamedTuple):
    """A file whose archiving is complete. ``deleted`` is how many of its ``rows`` were deleted from the database."""

    name: str
    rows: int
    deleted: int


def archive(series: Series, *, before: datetime | None = None, folder: Path | None = None) -> Iterator[Finished]:
    """Archive rows older than the series' days, or than ``before``, with one file and two transactions per batch.

    Files go to ``folder``, or to ``ARCHIVE_DIR``.

    Nothing is done until the result is iterated over. Raises ArchiveBusy if another run is active, ArchiveRefused if
    ``before`` is too recent or a file's content is wrong; OSError if the folder can't be written; Busy.
    """
    cutoff = cutoff_of(series, before)
    folder = folder or Path(settings.ARCHIVE_DIR)
    with archive_files.one_at_a_time(folder):
        for file in ArchivedFile.objects.filter(kind=series.kind, deleted_at=None).order_by("written_at"):
            yield _finish(series, folder, file)
        while cutoff and (batch := _read_batch(series, cutoff)):
            yield _finish(series, folder, _store(series, folder, batch))


def count(series: Series, *, before: datetime | None = None) -> int:
    """The number of rows that ``archive`` would take now, including those of unfinished files. Reads only."""
    cutoff = cutoff_of(series, before)
    if cutoff is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(series.count, {"before": cutoff})
        return int(cursor.fetchone()[0])


def cutoff_of(series: Series, before: datetime | None) -> datetime | None:
    """The time before which rows are archived, by the database's clock; None if they are kept for ever.

    Raises ArchiveRefused if it is too recent.
    """
    now = read_clock()
    if before is None and series.days == 0:
        return None
    cutoff = before or now - timedelta(days=series.days)
    if cutoff > now - timedelta(days=YOUNGEST_DAYS):
        raise ArchiveRefused(f"What is younger than {YOUNGEST_DAYS} days is not archived: {cutoff} is too young.")
    return cutoff


def _read_batch(series: Series, cutoff: datetime) -> list[ArchiveRow]:
    with connection.cursor() as cursor:
        cursor.execute(series.read, {"before": cutoff, "limit": settings.ARCHIVE_BATCH_SIZE})
        return [ArchiveRow(*row) for row in cursor.fetchall()]


def _store(series: Series, folder: Path, batch: Sequence[ArchiveRow]) -> ArchivedFile:
    """Write the batch's file, and its ``ArchivedFile`` once it is on disk.

    The file is named after its first row: a file of that name without an ``ArchivedFile`` is from a killed run.
    """
    times = [row.at for row in batch]
    name = f"{series.kind.lower()}-{min(times):%Y%m%dT%H%M%S}-{batch[0].id}.jsonl.gz"
    if ArchivedFile.objects.filter(name=name).exists():
        raise ArchiveBusy(f"{name} is already entered: another run is archiving.")
    sha256 = archive_files.write(folder, name, [row.document for row in batch])
    file = ArchivedFile(
        kind=series.kind, name=name, rows=len(batch), sha256=sha256, from_at=min(times), to_at=max(times)
    )
    transactions.run(partial(_enter, series, file, [row.id for row in batch]), transactions.LONG, pipelined=False)
    return file


_ENTER: Final = """
INSERT INTO inventory_archivedfile (id, kind, name, rows, sha256, from_at, to_at, written_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('inventory.archive', 0))"


def _enter(series: Series, file: ArchivedFile, ids: Sequence[UUID]) -> None:
    """Write the ``ArchivedFile``. Raises ArchiveBusy if a run in another folder has archived the rows already."""
    with connection.cursor() as cursor:
        cursor.execute(_ALONE)
        cursor.execute(series.present, [columns.uuids(ids)])
        is_elsewhere = cursor.fetchone()[0] != len(ids)
    if is_elsewhere or ArchivedFile.objects.filter(kind=series.kind, deleted_at=None).exists():
        raise ArchiveBusy("Another run is archiving into another folder.")
    values = [file.id, str(file.kind), file.name, file.rows, file.sha256, file.from_at, file.to_at]
    write(_ENTER, [*values, read_clock()])


def _finish(series: Series, folder: Path, file: ArchivedFile) -> Finished:
    """Delete exactly the rows that are in the file."""
    lines = archive_files.read(folder, file.name, rows=file.rows, sha256=file.sha256)
    ids = [UUID(json.loads(line)["id"]) for line in lines]
    deleted = transactions.run(partial(_delete, series, file, ids), transactions.LONG, pipelined=False)
    logger.info("rows_archived", kind=str(series.kind), file=file.name, rows=file.rows, deleted=deleted)
    return Finished(file.name, file.rows, deleted)


def _delete(series: Series, file: ArchivedFile, ids: Sequence[UUID]) -> int:
    """Delete the rows, close the file's entry and write the audit entry. Requires an open transaction.

    Locks other archive runs out, then the file's entry, then the rows. The setting that allows deleting history ends
    with the transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ALONE)
        cursor.execute("SELECT FROM inventory_archivedfile WHERE id = %s AND deleted_at IS NULL FOR UPDATE", [file.id])
        if cursor.rowcount != 1:
            raise ArchiveRefused(f"{file.name} is not entered, or its rows are deleted: another run is archiving.")
        cursor.execute("SELECT set_config(%s, 'on', true)", [ARCHIVING])
        deleted = series.delete(ids)
        cursor.execute("SELECT set_config(%s, 'off', true)", [ARCHIVING])
    now = read_clock()
    write("UPDATE inventory_archivedfile SET deleted_at = %s WHERE id = %s", [now, file.id])
    changes = {"kind": str(series.kind), "file": file.name, "rows": file.rows, "deleted": deleted}
    changes |= {"sha256": file.sha256, "from": file.from_at, "to": file.to_at}
    record([Entry(ARCHIVER, actions.ROWS_ARCHIVED, file.id, changes)], now=now)
    return deleted


def require_all_gone(ids: Sequence[UUID], deleted: int) -> None:
    """Raise ArchiveRefused if some of the rows had been deleted before."""
    if deleted != len(ids):
        raise ArchiveRefused(f"{len(ids) - deleted} of {len(ids)} rows of a file were deleted by somebody else.")


# --- movements -------------------------------------------------------------------------------------------------------

# An opening is valid for a time, so movements of the same time must not be split between batches (WITH TIES).
_READ_MOVEMENTS: Final = """
SELECT m.id, m.created_at, row_to_json(m)::text FROM inventory_movement m WHERE m.created_at < %(before)s
ORDER BY m.created_at, m.level_id FETCH FIRST %(limit)s ROWS WITH TIES
"""
_DELETE_MOVEMENTS: Final = """
WITH gone AS (
    DELETE FROM inventory_movement WHERE id = ANY(%s) RETURNING level_id, quantity, created_at
), moved AS (
    SELECT level_id, max(created_at) AS as_of, sum(quantity) AS quantity FROM gone GROUP BY level_id
), opened AS (
    INSERT INTO inventory_ledgeropening (level_id, as_of, on_hand)
    SELECT moved.level_id, moved.as_of, coalesce(opening.on_hand, 0) + moved.quantity
    FROM moved LEFT JOIN inventory_ledgeropening opening ON opening.level_id = moved.level_id
    ON CONFLICT (level_id) DO UPDATE SET as_of = excluded.as_of, on_hand = excluded.on_hand
)
SELECT count(*), array_agg(DISTINCT level_id) FROM gone
"""
_LEFT_BEHIND: Final = """
SELECT EXISTS (
    SELECT FROM inventory_ledgeropening opening JOIN inventory_movement m
    ON m.level_id = opening.level_id AND m.created_at <= opening.as_of WHERE opening.level_id = ANY(%s)
)
"""


def _delete_movements(ids: Sequence[UUID]) -> int:
    """Delete movements and add their sums to their levels' openings, so that on hand stays explained.

    Locks no level: changes of on hand can continue meanwhile. Raises ArchiveRefused if an older movement of a level
    would remain.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_MOVEMENTS, [columns.uuids(ids)])
        deleted, levels = cursor.fetchone()
        require_all_gone(ids, deleted)
        cursor.execute(_LEFT_BEHIND, [columns.uuids(levels)])
        if cursor.fetchone()[0]:
            raise ArchiveRefused("An older movement of a level would stay behind.")
    return int(deleted)


def movements() -> Series:
    """Movements, the oldest first. The remaining movements of a level begin at its opening."""
    return Series(
        kind=ArchivedFile.Kind.MOVEMENTS,
        days=settings.MOVEMENT_RETENTION_DAYS,
        read=_READ_MOVEMENTS,
        count="SELECT count(*) FROM inventory_movement WHERE created_at < %(before)s",
        present="SELECT count(*) FROM inventory_movement WHERE id = ANY(%s)",
        delete=_delete_movements,
    )


# --- audit entries ---------------------------------------------------------------------------------------------------

_READ_ENTRIES: Final = """
SELECT entry.id, entry.at, row_to_json(entry)::text FROM audit_auditentry entry WHERE entry.at < %(before)s
ORDER BY entry.id LIMIT %(limit)s
"""


def _delete_entries(ids: Sequence[UUID]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE id = ANY(%s)", [columns.uuids(ids)])
        deleted = int(cursor.rowcount)
    require_all_gone(ids, deleted)
    return deleted


def audit_entries() -> Series:
    """Audit entries, in the order of their ids."""
    return Series(
        kind=ArchivedFile.Kind.AUDIT_ENTRIES,
        days=settings.AUDIT_RETENTION_DAYS,
        read=_READ_ENTRIES,
        count="SELECT count(*) FROM audit_auditentry WHERE at < %(before)s",
        present="SELECT count(*) FROM audit_auditentry WHERE id = ANY(%s)",
        delete=_delete_entries,
    )
