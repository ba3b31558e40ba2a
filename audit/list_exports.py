"""Exports of lists that are written in the background (``audit.console.large_exports``)."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class ListExport(models.Model):
    """An export of a list by a member of staff, from its request to the deletion of its file.

    ``model`` names the list ("app.model"), ``query`` its filters as they stand in its address, ``kind`` the format.
    ``time_zone`` and ``warehouse_codes`` (null: all) are those of the person at the time of the request. ``rows`` is
    about how many rows there are, ``rows_done`` how many are written, ``size_bytes`` the size of the file so far. A
    worker that writes it sets ``begun_at``, ``seen_at`` and ``token``; ``attempts`` counts those that began.
    """

    class State(models.TextChoices):
        WRITING = "WRITING"
        DONE = "DONE"
        FAILED = "FAILED"
        CANCELLED = "CANCELLED"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    model = models.CharField(max_length=100)
    kind = models.CharField(max_length=4)
    query = models.TextField()
    name = models.CharField(max_length=100)
    time_zone = models.CharField(max_length=64)
    warehouse_codes = ArrayField(models.CharField(max_length=20), null=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.WRITING)
    rows = models.BigIntegerField()
    rows_done = models.BigIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    failure = models.TextField(default="")
    request_id = models.CharField(max_length=128)
    attempts = models.SmallIntegerField(default=0)
    token = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    begun_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["user", "created_at"], name="list_export_of_user"),
            models.Index(fields=["created_at"], name="list_export_age"),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def file_name(self) -> str:
        """The name of its file, such as ``movements-2026-11-27.csv``."""
        return f"{self.name}.{self.kind}"

    def is_within(self, warehouse_codes: Any) -> bool:
        """Whether these warehouses (None: all) include all those of the export."""
        if warehouse_codes is None:
            return True
        return self.warehouse_codes is not None and set(self.warehouse_codes) <= set(warehouse_codes)


class ListExportPiece(models.Model):
    """A piece of an export's file, compressed. The worker and the web server may share no disk."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    export = models.ForeignKey(ListExport, on_delete=models.CASCADE, related_name="pieces", db_index=False)
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="list_export_piece_once")]

    def __str__(self) -> str:
        return f"{self.export_id} {self.number}"
