"""Bookkeeping: openings of the ledger, reconciliation runs and findings, archived files."""

from django.db import models
from django.db.models import F, Q
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from inventory.models.stock import QUANTITY_LIMIT, StockLevel


class LedgerOpening(models.Model):
    """On hand of a level at the beginning of its movements, once older ones are archived. On hand is the opening plus
    the movements after it.

    Movements up to and including ``as_of`` are archived.
    """

    level = models.OneToOneField(StockLevel, primary_key=True, on_delete=models.PROTECT, related_name="opening")
    as_of = models.DateTimeField()
    on_hand = models.IntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="opening_within_limits", condition=Q(on_hand__gte=0, on_hand__lte=QUANTITY_LIMIT)
            )
        ]

    def __str__(self) -> str:
        return f"{self.on_hand} in {self.level_id}"


class ReconciliationRun(models.Model):
    """One comparison of counters with the rows that explain them. ``scope`` describes in words what was compared."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    scope = models.CharField(max_length=200, blank=True)
    actor = models.CharField(max_length=150)
    levels_checked = models.IntegerField(default=0)
    finding_count = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="reconciliation_run_counts", condition=Q(levels_checked__gte=0, finding_count__gte=0)
            ),
            models.CheckConstraint(
                name="reconciliation_run_ends_later",
                condition=Q(finished_at__isnull=True) | Q(finished_at__gte=F("started_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{localtime(self.started_at):%Y-%m-%d %H:%M}"


class ReconciliationFinding(models.Model):
    """A difference that was found again under the lock.

    ``subject_id`` is the id of a level, a transfer, a reservation or a row whose owner is gone; it is no foreign key,
    as a finding outlives its subject. ``expected`` is the sum of the rows that explain the counter, ``actual`` the
    counter's value, in units; null if the finding is not a difference of numbers.
    """

    class Kind(models.TextChoices):
        ON_HAND = "ON_HAND", _("On hand against the ledger")
        RESERVED = "RESERVED", _("Reserved against reservations")
        IN_TRANSIT = "IN_TRANSIT", _("In transit against the ledger")
        LONG_DUE = "LONG_DUE", _("Reservation long past its end")
        ORPHAN = "ORPHAN", _("Row without its owner")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="findings")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject_id = models.UUIDField()
    level = models.ForeignKey(StockLevel, null=True, on_delete=models.PROTECT, related_name="findings")
    expected = models.BigIntegerField(null=True)
    actual = models.BigIntegerField(null=True)
    detail = models.TextField(blank=True)
    repaired_at = models.DateTimeField(null=True)
    repaired_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    repair_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="finding_kind_is_known",
                condition=Q(kind__in=["ON_HAND", "RESERVED", "IN_TRANSIT", "LONG_DUE", "ORPHAN"]),
            ),
            models.CheckConstraint(
                name="finding_repaired_agrees",
                condition=Q(repaired_at__isnull=True, repaired_by="", repair_reason="")
                | (Q(repaired_at__isnull=False) & ~Q(repaired_by="") & ~Q(repair_reason="")),
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())


class ArchivedFile(models.Model):
    """A file of rows that were deleted, or are about to be deleted, from the database.

    The entry is written once the file is safely on disk; ``deleted_at`` is set in the transaction that deletes the
    rows, so that the next run finishes one that was interrupted in between. ``from_at`` and ``to_at`` are the times of
    the oldest and the newest row; ``sha256`` is that of the file, in hexadecimal.
    """

    class Kind(models.TextChoices):
        MOVEMENTS = "MOVEMENTS", _("Movements")
        RESERVATIONS = "RESERVATIONS", _("Reservations")
        AUDIT_ENTRIES = "AUDIT_ENTRIES", _("Audit entries")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.CharField(max_length=200, unique=True)
    rows = models.IntegerField()
    sha256 = models.CharField("SHA-256", max_length=64)
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    written_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="archived_kind_is_known", condition=Q(kind__in=["MOVEMENTS", "RESERVATIONS", "AUDIT_ENTRIES"])
            ),
            models.CheckConstraint(name="archived_something", condition=Q(rows__gt=0)),
            models.CheckConstraint(name="archived_span", condition=Q(to_at__gte=F("from_at"))),
            models.CheckConstraint(name="archived_sha256", condition=Q(sha256__regex="^[0-9a-f]{64}$")),
            models.CheckConstraint(
                name="archived_before_deleted",
                condition=Q(deleted_at__isnull=True) | Q(deleted_at__gte=F("written_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
