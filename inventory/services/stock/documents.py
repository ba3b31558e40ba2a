"""Documents of what is posted by hand: drawn, written, locked and read (docs/explanation/rules.md, rule 39).

A document is written in the transaction that changes the stock. Clients of the API and the command ``import_stock``
have none: they have ids and references of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q

from audit.actors import Actor
from audit.db.statements import write
from audit.errors import NotFound
from inventory.models import Movement, StockDocument
from inventory.models.documents import numbered
from inventory.models.stock import MovementQuerySet
from inventory.services.stock.adjustment_lines import Adjustment
from inventory.services.stock.frozen_goods import BY_HAND

_KINDS: Final = {
    "RECEIPT": StockDocument.Kind.RECEIPT,
    "SHIPMENT": StockDocument.Kind.SHIPMENT,
    "RETURN": StockDocument.Kind.RETURN,
}


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document whose number is drawn. ``reverses`` is the document that it takes back, if it is a reversal;
    ``file_id`` and ``file_name`` are those of the file that was imported, if one was."""

    kind: str
    number: int
    reverses: UUID | None
    file_id: UUID | None = None
    file_name: str = ""

    @property
    def short_number(self) -> str:
        """``RC-1042``."""
        return numbered(self.kind, self.number)


def draw_document(actor: Actor, lines: Sequence[Adjustment], reverses: UUID | None) -> NewDocument | None:
    """Draw the number of a document; None if the lines aren't posted by hand. One query; before any lock of levels.

    Lines of different types are one adjustment.
    """
    if actor.source != BY_HAND:
        return None
    types = {line.type for line in lines}
    kind = _KINDS.get(types.pop(), StockDocument.Kind.ADJUSTMENT) if len(types) == 1 else StockDocument.Kind.ADJUSTMENT
    kind = StockDocument.Kind.REVERSAL if reverses else kind
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s)", [f"inventory_document_{kind.value.lower()}"])
        return NewDocument(kind.value, cursor.fetchone()[0], reverses)


_INSERT: Final = """
INSERT INTO inventory_stockdocument (id, kind, number, warehouse_codes, reference, reason, actor, created_at,
    reverses_id, file_id, file_name)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def write_document(
    document: NewDocument, document_id: UUID, actor: Actor, lines: Sequence[Adjustment], now: datetime
) -> None:
    """Write a document, with the reference and the reason that all of its lines have. ``now`` is the time of its
    movements. Requires the lock of the document that it reverses."""
    codes = sorted({line.warehouse for line in lines})
    reference = _common(line.order_id or line.reference for line in lines)
    values = [document.kind, document.number, codes, reference, _common(line.reason for line in lines), actor.name, now]
    write(_INSERT, [document_id, *values, document.reverses, document.file_id, document.file_name])


def _common(texts: Iterable[str]) -> str:
    """The text, if all are the same; empty otherwise."""
    different = set(texts)
    return different.pop() if len(different) == 1 else ""


def lock_document(actor: Actor, document_id: UUID) -> StockDocument:
    """Lock and read a document. Raises NotFound, also if one of its warehouses is out of the actor's reach. Requires an
    open transaction; before any lock of levels."""
    found = StockDocument.objects.select_for_update(no_key=True).filter(pk=document_id).first()
    if found is None or not found.is_in_reach(actor):
        raise NotFound("There is no such document.")
    return found


def movements_of(document: StockDocument) -> MovementQuerySet:
    """The movements of a document, in their order, with product and warehouse; none once they are archived. They have
    the document's time, by which an index finds them."""
    rows = Movement.objects.filter(created_at=document.created_at, adjustment_id=document.adjustment_id)
    return rows.select_related("level__product", "level__warehouse").order_by("id")


def taken_back(document: StockDocument) -> MovementQuerySet:
    """The movements of a document in the order in which a reversal takes them back: what comes back to the stock before
    what leaves it, so that on hand never falls below what it is at the end."""
    is_receipt = ExpressionWrapper(Q(quantity__gt=0), output_field=BooleanField())
    return movements_of(document).order_by(is_receipt, "id")
