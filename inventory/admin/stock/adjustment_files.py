"""Import of stock changes as a file, with a preview. The lines are those of ``manage.py import_stock``."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from audit.console.imports.importers import BookedRow, Importer, PreviewRow, Reading, RowDoubt, Upload
from audit.console.imports.rows import RowFault
from audit.db.statements import Progress
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped
from inventory.admin import foreign_files
from inventory.admin.catalogue.sku_cells import notes_on_sharing
from inventory.admin.stock.undo import with_undo
from inventory.admin.stock.unusual import Amount, doubts_about
from inventory.models import StockDocument
from inventory.services.catalogue.codes import KnownSku, skus_known
from inventory.services.stock.import_files import DESCRIBED, FileLine, ImportFile, file_of, lines_of
from inventory.services.stock.imports import Imported, ImportForecast, foresee_import, import_stock, says_when

_MAY: Final = {
    "RECEIPT": "inventory.receive_stock",
    "RETURN": "inventory.receive_stock",
    "SHIPMENT": "inventory.ship_stock",
    "ADJUSTMENT": "inventory.adjust_stock",
}
"""The permission that a line's type requires, as on a level's page."""
_NAMED: Final = 3


class AdjustmentImport(Importer[ImportFile, Imported]):
    """Import of differences, not totals, so that it doesn't undo concurrent changes.

    A file is recognised by its content, as on the command line: lines that were imported are not imported again, even
    after a second preview.
    """

    title = _("Import changes of stock")
    intro = _(
        "Each row adds to the units on hand, or removes from them. Rows that were booked before, in any file, are "
        "left out unless you tick them. A preview shows the changes before anything is booked."
    )
    permission = "inventory.adjust_stock"
    file_name = "stock-changes"
    columns = DESCRIBED
    formats = foreign_files.STOCK
    plan_type = ImportFile

    @classmethod
    def allows(cls, user: Any) -> bool:
        """Whether the user has any of the permissions; each row is checked for its own."""
        return any(user.has_perm(permission) for permission in _MAY.values())

    def read(self, upload: Upload) -> Reading[ImportFile]:
        bad = list(upload.table.faults)
        lines = lines_of(upload.table.header, upload.table.rows, bad)
        file = file_of(upload.name, upload.content, lines, bad)
        refused = list(self._beyond(file.lines))
        beyond = {fault.row for fault in refused}
        within = tuple(line for line in file.lines if line.row not in beyond)
        file = ImportFile(file.id, file.name, file.sha256, within, file.bad)
        foreseen = foresee_import(self.actor, file)
        faults = sorted([*refused, *foreseen.bad], key=lambda fault: fault.row)
        known = skus_known({line.sku for line in file.lines})
        doubts = _doubts(file.lines, known)
        booked = [
            BookedRow(line.row, _name(line), says_when(booking), doubts.get(line.row, ""))
            for line, booking in foreseen.booked
        ]
        left_out = {row.row for row in booked}
        asked = [RowDoubt(row, text) for row, text in doubts.items() if row not in left_out]
        notes = _notes(foreseen, known)
        return Reading(file, _shown(foreseen), faults=faults, notes=notes, booked=booked, doubts=asked)

    def _beyond(self, lines: Sequence[FileLine]) -> Iterator[RowFault]:
        """The faults of lines whose type the user may not book."""
        may = {kind for kind, permission in _MAY.items() if self.user.has_perm(permission)}
        for line in lines:
            if line.type not in may:
                yield RowFault(line.row, "type", gettext("needs a permission that you don't have"))

    def carry_out(
        self, plan: ImportFile, claim: Claim, again: Container[int], progress: Progress
    ) -> Imported | StoredAnswer:
        if any(self._beyond(plan.lines)):
            raise PermissionDenied
        return import_stock(self.actor, plan, again=again, claim=claim, progress=progress, document_id=self.import_id)

    def size_of(self, plan: ImportFile) -> int:
        return len(plan.lines)

    def row_of(self, plan: ImportFile, index: int) -> int:
        return plan.lines[index].row

    def refused(self, result: Imported) -> Sequence[RowFault]:
        return result.bad

    def notice(self, request: HttpRequest, message: str) -> str:
        document = StockDocument.objects.filter(pk=self.import_id).first() if self.import_id else None
        return with_undo(request, message, document) if document else message

    def tell_again(self, result: Imported) -> str:
        return gettext("This file was imported before. Nothing was booked again.")

    def tell(self, result: Imported) -> str:
        if not result.applied:
            return self.tell_again(result)
        message = ngettext("%(count)s row booked.", "%(count)s rows booked.", result.applied)
        return message % {"count": grouped(result.applied)}


def _name(line: FileLine) -> str:
    return f"{line.sku}, {line.warehouse}"


def _shown(foreseen: ImportForecast) -> list[PreviewRow]:
    return [
        PreviewRow(
            effect.line.row,
            _name(effect.line),
            [(_("On hand"), str(effect.before), str(effect.after))],
        )
        for effect in foreseen.effects
    ]


def _doubts(lines: Sequence[FileLine], known: Mapping[str, Sequence[KnownSku]]) -> dict[int, str]:
    """The doubts about units far beyond the usual, by row, as a level's page has them. A query for each type."""
    found: dict[int, str] = {}
    for kind in _MAY:
        of_kind = [line for line in lines if line.type == kind and len(known.get(line.sku, ())) == 1]
        amounts = [Amount(known[line.sku][0].id, line.sku, line.quantity) for line in of_kind]
        texts = zip(of_kind, doubts_about(kind, amounts), strict=True)
        found |= {line.row: text for line, text in texts if text}
    return dict(sorted(found.items()))


def _notes(foreseen: ImportForecast, known: Mapping[str, Sequence[KnownSku]]) -> list[str]:
    shared = notes_on_sharing({found[0].id: (found[0].sku, "") for found in known.values()})
    shared += _notes_on_restored(foreseen.restored)
    if not foreseen.booked:
        return shared
    message = ngettext(
        "%(count)s row of this file was imported before, and is left out unless you tick it.",
        "%(count)s rows of this file were imported before, and are left out unless you tick them.",
        len(foreseen.booked),
    )
    return [message % {"count": grouped(len(foreseen.booked))}, *shared]


def _notes_on_restored(restored: Sequence[RowFault]) -> list[str]:
    """The note on rows that are imported once more, because their bookings were reversed; it names some of them."""
    if not restored:
        return []
    message = ngettext(
        "%(count)s row was booked before and reversed since, and is imported again: %(rows)s",
        "%(count)s rows were booked before and reversed since, and are imported again: %(rows)s",
        len(restored),
    )
    named = [gettext("row %(row)s %(says)s") % {"row": fault.row, "says": fault.detail} for fault in restored[:_NAMED]]
    rows = "; ".join(named) + ("; …" if len(restored) > _NAMED else ".")
    return [message % {"count": grouped(len(restored)), "rows": rows}]
