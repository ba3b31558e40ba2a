"""Writing of an export's file: rows by cursors of the database, into pieces in the database."""

import time
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone
from django.utils.translation import gettext

from audit.console.base import actor_of
from audit.console.exports import csv_pieces, read_by_cursor
from audit.console.large_exports.rebuilding import list_of, request_of, require_allowed
from audit.console.workbooks import written_workbook
from audit.list_exports import ListExport

PIECE_BYTES: Final = 512 * 1024
MOST_BYTES: Final = 2 * 1024**3
MOST_SECONDS: Final = 3600
_ROWS_BETWEEN: Final = 2000
_SEEN: Final = """
UPDATE audit_listexport SET rows_done = %s, size_bytes = %s, seen_at = statement_timestamp()
WHERE id = %s AND token = %s AND state = 'WRITING'
"""
# One statement: no piece is written once another worker has begun.
_KEEP: Final = f"""
WITH mine AS ({_SEEN} RETURNING id)
INSERT INTO audit_listexportpiece (id, export_id, number, content) SELECT gen_random_uuid(), id, %s, %s FROM mine
"""  # noqa: S608 - constants only


class Stopped(Exception):
    """The export was cancelled, or another worker has begun it anew."""


class TooLarge(Exception):
    """The file would be too large, or takes too long; the message says which, for the person."""


class Keeper:
    """Keeps the pieces and the progress of one export, on a connection of its own: the rows are read in transactions.

    Raises Stopped if the export isn't this worker's any more, and TooLarge.
    """

    def __init__(self, export: ListExport, token: UUID, connection: Any) -> None:
        self._export, self._token, self._connection = export, token, connection
        self._begun = time.monotonic()
        self._number = self._size = self.rows_done = 0

    def counted(self, rows: Iterable[Any]) -> Generator[Any, None, None]:
        """The rows, counting them, with the progress stored now and then."""
        for row in rows:
            yield row
            self.rows_done += 1
            if self.rows_done % _ROWS_BETWEEN == 0:
                self.report()

    def report(self) -> None:
        """Store the progress."""
        self._run(_SEEN)

    def keep(self, piece: bytes) -> None:
        """Store a piece of the file."""
        self._size += len(piece)
        self._run(_KEEP, self._number, zlib.compress(piece, 1))
        self._number += 1

    def _run(self, statement: str, *more: Any) -> None:
        if self._size > MOST_BYTES:
            raise TooLarge(gettext("The file would be larger than 2 GiB. Filter the list, and export it in parts."))
        if time.monotonic() - self._begun > MOST_SECONDS:
            raise TooLarge(gettext("Writing took longer than an hour. Filter the list, and export it in parts."))
        with self._connection.cursor() as cursor:
            cursor.execute(statement, [self.rows_done, self._size, self._export.pk, self._token, *more])
            if cursor.rowcount != 1:
                raise Stopped


def write(export: ListExport, token: UUID) -> None:
    """Write the file of an export. Raises PermissionDenied, Stopped, TooLarge. Opens transactions, for the cursors."""
    require_allowed(export)
    model_admin, request = list_of(export), request_of(export)
    if actor_of(request).warehouse_codes != _codes(export):
        raise PermissionDenied
    export.pieces.all().delete()  # Of a worker that ended before.
    with _own_connection() as connection, timezone.override(ZoneInfo(export.time_zone)):
        keeper = Keeper(export, token, connection)
        with read_by_cursor():
            found = model_admin.get_changelist_instance(request).all_rows(request)
            # Closed when it is cancelled, too: with them the cursor.
            with (
                closing(keeper.counted(model_admin.export_rows(request, found))) as rows,
                closing(_pieces(export, model_admin.export_header, rows)) as pieces,
            ):
                for piece in pieces:
                    keeper.keep(piece)
        keeper.report()


def _codes(export: ListExport) -> tuple[str, ...] | None:
    return None if export.warehouse_codes is None else tuple(export.warehouse_codes)


def _pieces(export: ListExport, header: Any, rows: Iterator[Any]) -> Generator[bytes, None, None]:
    if export.kind == "csv":
        yield from csv_pieces(header, rows, timezone.get_current_timezone(), PIECE_BYTES)
        return
    with written_workbook(export.name, header, rows) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextmanager
def _own_connection() -> Iterator[Any]:
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        yield own
    finally:
        own.close()
