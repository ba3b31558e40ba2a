"""API clients and tokens, staff access, files to import, leases, audit entries, idempotency keys and the outbox."""

from typing import Any, Final, Self

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actions import action_of
from audit.identifiers import with_short_ids
from audit.list_exports import ListExport, ListExportPiece
from audit.roles import role_choices
from audit.subscriptions import WebhookAttempt, WebhookDelivery, WebhookReplay, WebhookSubscription

__all__ = [
    "ApiClient",
    "ApiToken",
    "AuditEntry",
    "FileImport",
    "Heartbeat",
    "IdempotencyKey",
    "ListExport",
    "ListExportPiece",
    "LogEpoch",
    "OutboxEvent",
    "ReadingLease",
    "RememberedColumns",
    "StaffAccess",
    "Tick",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookReplay",
    "WebhookSubscription",
    "append_only",
]

ARCHIVING: Final = "inventory.archiving"
"""The PostgreSQL setting that allows deleting rows of append-only tables while it is ``on``. Only ``archive`` sets it,
with ``SET LOCAL``, so that it ends with the transaction."""


def append_only() -> list[pgtrigger.Trigger]:
    """The triggers of a table whose rows can't be updated, and can be deleted only under ``ARCHIVING``."""
    return [
        pgtrigger.Protect(name="append_only", operation=pgtrigger.Update),
        pgtrigger.Protect(
            name="archived_before_deleted",
            operation=pgtrigger.Delete,
            condition=pgtrigger.Condition(f"current_setting('{ARCHIVING}', true) IS DISTINCT FROM 'on'"),
        ),
    ]


class ApiClient(models.Model):
    """A program that calls the API. ``store_codes`` limit it to stores, by their immutable codes; empty means all."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=16, choices=role_choices)
    store_codes = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "API client"

    def __str__(self) -> str:
        return self.name


class ApiToken(models.Model):
    """An API token: its prefix, to look it up, and its SHA-256, to verify it. The token itself is never stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.ForeignKey(ApiClient, on_delete=models.PROTECT, related_name="tokens")
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.prefix}…"


class StaffAccess(models.Model):
    """The warehouses that a member of staff may see and change: all, or those in ``warehouse_codes`` alone, by their
    immutable codes. An account without a row reaches none, unless it is a superuser, who reaches all. A superuser with
    a row reaches what the row says."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="staff_access")
    all_warehouses = models.BooleanField(default=False, db_default=False)
    warehouse_codes = ArrayField(models.CharField(max_length=20), default=list, blank=True)

    class Meta:
        verbose_name_plural = "staff access"

        constraints = [
            models.CheckConstraint(
                name="staff_access_all_or_some", condition=Q(all_warehouses=False) | Q(warehouse_codes=[])
            )
        ]

    def __str__(self) -> str:
        return str(_("all")) if self.all_warehouses else ", ".join(self.warehouse_codes) or str(_("none"))

    @classmethod
    def of(cls, user: Any) -> Self:
        """The access of a user: the row, or an unsaved one for an account without. One query."""
        return cls.objects.filter(user_id=user.pk).first() or cls(all_warehouses=user.is_superuser)

    @property
    def codes(self) -> tuple[str, ...] | None:
        """The warehouses as ``Actor.warehouse_codes``: None means all."""
        return None if self.all_warehouses else tuple(self.warehouse_codes)


class ReadingLease(models.Model):
    """The lease of a member of staff whose file is being read, until ``ends_at`` (``audit.console.imports.leases``).

    ``token`` identifies the request that took it: once a lease has ended, another request may have taken it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+")
    token = models.UUIDField()
    ends_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.user_id} until {self.ends_at}"


class FileImport(models.Model):
    """A file that a member of staff brought to be imported, from its choice to its end (``audit.console.imports``).

    ``kind`` is what it has, such as ``products``. ``columns`` says which of its columns are taken, null until that is
    known; ``preview`` is what reading it found, ``plan`` what the import would do, empty if it can't be imported, and
    ``outcome`` what it did. ``options`` are the ticks of the preview. Work in the background was asked for at
    ``asked_at``; those who do it set ``begun_at`` and ``seen_at``, and count rows in ``rows_done``.
    """

    class State(models.TextChoices):
        COLUMNS = "COLUMNS"
        READING = "READING"
        READ = "READ"
        IMPORTING = "IMPORTING"
        REFUSED = "REFUSED"
        DONE = "DONE"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    content = models.BinaryField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.COLUMNS)
    columns = models.JSONField(null=True)
    preview = models.JSONField(null=True)
    plan = models.BinaryField(default=bytes)
    options = models.JSONField(default=dict)
    outcome = models.TextField(default="")
    rows = models.IntegerField(default=0)
    rows_done = models.IntegerField(default=0)
    request_id = models.CharField(max_length=128, default="")
    created_at = models.DateTimeField(db_default=Now())
    asked_at = models.DateTimeField(null=True)
    begun_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["user", "created_at"], name="file_import_of_user")]

    def __str__(self) -> str:
        return self.name

    def store(self, *fields: str) -> None:
        """Write these fields, unless the file was deleted meanwhile: its owner has chosen others since, and the next
        step asks to choose it again."""
        FileImport.objects.filter(pk=self.pk).update(**{name: getattr(self, name) for name in fields})


class RememberedColumns(models.Model):
    """Which columns a member of staff took from files with this header. ``header`` is its SHA-256."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    header = models.CharField(max_length=64)
    columns = models.JSONField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "kind", "header"], name="columns_remembered_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.header[:8]}"


BY_HAND: Final = ("admin", "command")
"""The sources of what people and commands do. Entries of the others are many, and have no index by actor or source:
each index would cost each hold something."""


class AuditEntry(models.Model):
    """What was done, by whom and when. Triggers forbid updates, and deletes by anything but ``archive``.

    ``client_id`` and ``subject_id`` are no foreign keys: an entry outlives the rows that it refers to.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    action = models.CharField(max_length=64)
    actor = models.CharField(max_length=150)
    client_id = models.UUIDField(null=True)
    source = models.CharField(max_length=16)
    request_id = models.CharField(max_length=128)
    store = models.CharField(max_length=20, blank=True)
    subject_id = models.UUIDField()
    changes = models.JSONField()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["subject_id"], name="audit_entry_subject"),
            models.Index(fields=["source", "id"], name="audit_entry_by_hand", condition=Q(source__in=BY_HAND)),
            models.Index(fields=["actor", "id"], name="audit_entry_of_person", condition=Q(source__in=BY_HAND)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return _("%(action)s by %(actor)s") % {"action": action_of(self.action).label, "actor": self.actor}


class IdempotencyKey(models.Model):
    """An idempotency key with the answer for replays (docs/explanation/rules.md, rule 20)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client_id = models.UUIDField()
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    parsed_fingerprint = models.BinaryField(max_length=32, null=True)
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client_id", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return with_short_ids(self.key)


class OutboxEvent(models.Model):
    """An event of the log (``audit.feed``), published after the transaction that wrote it. Never updated.

    The table is partitioned by ``created_at``. It also has a column ``xid``, the transaction that wrote the row.
    ``position`` orders the events of a key. ``traceparent`` is the trace of the request that caused the event, null if
    it had none. The names of the columns are those that Debezium's outbox router expects.
    """

    position = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(db_column="id", editable=False)
    aggregate_type = models.CharField(max_length=32, db_column="aggregatetype")
    key = models.CharField(max_length=80, db_column="aggregateid")
    type = models.CharField(max_length=64)
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    traceparent = models.CharField(max_length=55, null=True)

    class Meta:
        verbose_name = "outbox event"

    def __str__(self) -> str:
        return f"{self.position} {self.type}"


class LogEpoch(models.Model):
    """A time in which transaction ids of the log can be compared: a restored dump begins another (``audit.feed``).

    ``ceiling`` is the last position of the epoch before; null for the first. ``system_identifier`` is the cluster's.
    """

    number = models.IntegerField(primary_key=True)
    system_identifier = models.BigIntegerField()
    ceiling = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)


class Tick(models.Model):
    """The end of a batch of the log (``audit.feed``). The table also has a column ``snapshot``: what was visible then.

    ``events`` is the number of events in its batch, ``first_position``, ``created_from`` and ``created_to`` their
    bounds, null without events; ``max_position`` is the highest position of all batches so far.
    """

    number = models.BigIntegerField(primary_key=True)
    epoch = models.IntegerField()
    max_position = models.BigIntegerField()
    first_position = models.BigIntegerField(null=True)
    events = models.BigIntegerField()
    created_from = models.DateTimeField(null=True)
    created_to = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["created_at"], name="audit_tick_age")]

    def __str__(self) -> str:
        return str(self.number)


class StreamCursor(models.Model):
    """The place in the log up to which a sink has everything (``audit.streams``); ``cursor`` is its text."""

    name = models.CharField(max_length=300, primary_key=True)
    cursor = models.TextField()
    moved_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """The time at which a background process last worked, or recurring work was last done (``audit.heartbeats``).

    ``at`` is the database's time. ``detail`` says more, such as the machine; it has no secrets.
    """

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField(db_default=Now())
    detail = models.JSONField(default=dict)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
