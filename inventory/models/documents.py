"""Documents of what was posted by hand, and the short numbers of documents."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import BigIntegerField, Func, Q, Value
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor

FIRST_NUMBER: Final = 1001
"""The first number of each kind of document."""
MOST_DIGITS: Final = 18
_NUMBER: Final = re.compile(rf"([a-z]{{2}})[-\s]?(\d{{1,{MOST_DIGITS}}})", re.IGNORECASE | re.ASCII)


def numbered(kind: str, number: int) -> str:
    """The short number of a document, as people see it: ``RC-1042``."""
    return f"{kind}-{number}"


def parse_number(text: str, kinds: Collection[str]) -> tuple[str, int] | None:
    """The kind and the number of a typed short number of one of these kinds, in any case; None for anything else."""
    found = _NUMBER.fullmatch(text.strip())
    kind = found[1].upper() if found else ""
    return (kind, int(found[2])) if found and kind in kinds else None


def next_number(sequence: str) -> Func:
    """The default of a column whose numbers a sequence of the database draws."""
    return Func(Value(sequence), function="nextval", output_field=BigIntegerField())


class StockDocumentQuerySet(models.QuerySet["StockDocument"]):
    """Documents."""

    def of_movement(self, adjustment_id: UUID, created_at: datetime) -> Self:
        """The document that posted a movement, by the movement's adjustment and time; none if it has none."""
        return self.filter(Q(id=adjustment_id) | Q(file_id=adjustment_id), created_at=created_at)

    def visible_to(self, actor: Actor) -> Self:
        """The documents with at least one warehouse in an actor's reach; staff alone have documents."""
        if actor.warehouse_codes is None:
            return self
        return self.filter(warehouse_codes__overlap=list(actor.warehouse_codes))


class StockDocument(models.Model):
    """What was posted by hand, in the console: receipts, shipments, returns, corrections, and their reversals.

    Its id is that of the adjustment, and its lines are the movements of the adjustment, which have its ``created_at``.
    The adjustment of an imported file is the file, which may be booked more than once: it is in ``file_id`` then, and
    ``file_name`` is the file's name.
    ``number`` is drawn from a sequence of its kind: unique and short, not without gaps. ``reverses`` is the document
    that a reversal took back, which happens at most once.
    """

    class Kind(models.TextChoices):
        RECEIPT = "RC", _("Receipt")
        SHIPMENT = "SH", _("Shipment")
        ADJUSTMENT = "AD", _("Adjustment")
        RETURN = "RT", _("Return")
        REVERSAL = "RV", _("Reversal")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=2, choices=Kind.choices)
    number = models.BigIntegerField()
    warehouse_codes = ArrayField(models.CharField(max_length=20))
    reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    reverses = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="reversed_by")
    file_id = models.UUIDField(null=True)
    file_name = models.CharField(max_length=200, blank=True, default="", db_default="")

    objects = StockDocumentQuerySet.as_manager()

    class Meta:
        permissions = [("reverse_stock", "Can reverse posted documents")]
        constraints = [
            models.UniqueConstraint(fields=["kind", "number"], name="document_number_once"),
            models.CheckConstraint(name="document_kind_is_known", condition=Q(kind__in=["RC", "SH", "AD", "RT", "RV"])),
            models.CheckConstraint(
                name="document_reversal_reverses",
                condition=Q(kind="RV", reverses__isnull=False) | (~Q(kind="RV") & Q(reverses__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(fields=["reference"], name="document_reference", condition=~Q(reference="")),
            models.Index(fields=["file_id"], name="document_file", condition=Q(file_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.short_number

    @property
    def short_number(self) -> str:
        """``RC-1042``."""
        return numbered(self.kind, self.number)

    @property
    def adjustment_id(self) -> UUID:
        """The adjustment of its movements."""
        return self.file_id or self.id

    @property
    def reversal(self) -> "StockDocument | None":
        """The document that reversed this one, or None. One query, unless it was selected."""
        try:
            return self.reversed_by
        except StockDocument.DoesNotExist:
            return None

    def is_in_reach(self, actor: Actor) -> bool:
        """Whether all of its warehouses are in an actor's reach, as reversing it requires."""
        return actor.sees_warehouses(self.warehouse_codes)
