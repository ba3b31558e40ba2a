"""The trail in the console: what was done and what is to be told. For reading, by who may see the whole house."""

import json

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, pretty_json
from audit.models import AuditEntry, IdempotencyKey, OutboxEvent


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """What was done, by whom and when."""

    whole_house = True
    id_fields = ("subject_id", "client_id", "pk")
    list_display = ("at", "action", "actor", "source", "store", "subject_id", "request_id")
    list_filter = ("source",)
    search_fields = ("actor__exact", "action__exact", "request_id__exact", "store__exact")
    search_help_text = _("An actor, action, request id or store as it is written, or the id of what was changed")
    date_hierarchy = "at"
    ordering = ("-id",)
    fields = ("id", "at", "action", "actor", "client_id", "source", "request_id", "store", "subject_id", "what")

    @admin.display(description=_("changes"))
    def what(self, entry: AuditEntry) -> SafeString:
        return pretty_json(entry.changes)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Answers that will be given again."""

    whole_house = True
    id_fields = ("client_id", "pk")
    list_display = ("key", "client_id", "status", "created_at")
    list_filter = ("status",)
    search_fields = ("key__exact",)
    search_help_text = _("A whole key, or the id of a client")
    ordering = ("-id",)
    fields = ("id", "key", "client_id", "status", "answer", "created_at")

    @admin.display(description=_("answer"))
    def answer(self, key: IdempotencyKey) -> SafeString:
        return pretty_json(json.loads(bytes(key.body)))


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """Events in the order in which they are told."""

    whole_house = True
    id_fields = ("event_id",)
    list_display = ("position", "type", "key", "created_at")
    search_fields = ("key__exact", "type__exact")
    search_help_text = _("A key or type as it is written, or the id of an event")
    ordering = ("-position",)
    fields = ("position", "event_id", "type", "key", "what", "created_at")

    @admin.display(description=_("payload"))
    def what(self, event: OutboxEvent) -> SafeString:
        return pretty_json(event.payload)
