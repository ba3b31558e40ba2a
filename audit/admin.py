"""The trail in the admin: who may ask, what was done, what is to be told. For reading; tokens can be revoked.

``ReadOnlyAdmin`` is the base of every list of this service: stock is changed by its services, never by a form.
"""

import json
import re
from functools import cached_property
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import connection, models, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.context import request_id_of
from audit.models import ApiClient, ApiToken, AuditEntry, IdempotencyKey, OutboxEvent
from audit.services import Asker, Entry, record

_BIG_TABLE: Final = 10_000
_PUBLIC_ID: Final = re.compile(r"(?:[a-z]+-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)

admin.site.site_header = admin.site.site_title = "Inventory"
admin.site.index_title = "Stock, holds and their trail"
admin.site.site_url = None  # There is no page at / to go to.


class Pages(Paginator):  # type: ignore[type-arg]
    """Pages of a list that may be big: what nobody filters, nobody wants counted to the last row."""

    @cached_property
    def count(self) -> int:
        """The number of rows; PostgreSQL's estimate for all rows of a big table."""
        rows = self.object_list
        if isinstance(rows, QuerySet) and not rows.query.where:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [rows.model._meta.db_table]
                )
                estimate = int(cursor.fetchone()[0])
            if estimate > _BIG_TABLE:
                return estimate
        return int(super().count)


class ReadOnly:
    """Nothing is added, changed or deleted here, whatever a user may."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A list and a page for each row. A search for an id, public (``res-…``) or bare, looks in ``id_fields`` alone."""

    id_fields: ClassVar[tuple[str, ...]] = ("pk",)
    list_per_page = 25
    list_max_show_all = 25
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = Pages

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if named := _PUBLIC_ID.fullmatch(search_term.strip()):
            wanted = Q()
            for field in self.id_fields:
                wanted |= Q(**{field: UUID(named[1])})
            return queryset.filter(wanted), True  # Joined rows may name one twice.
        return super().get_search_results(request, queryset, search_term)


class ReadOnlyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Rows that belong to another one, on its page."""

    extra = 0

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All of them: an inline would look for a form's field behind each otherwise."""
        return self.fields or ()


def pretty_json(value: Any) -> SafeString:
    """JSON as people read it."""
    text = "–" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="margin: 0; white-space: pre-wrap">{}</pre>', text)


@admin.register(ApiClient)
class ApiClientAdmin(ReadOnlyAdmin):
    """Programs that call the API."""

    list_display = ("name", "role", "stores", "tokens_in_use", "created_at")
    list_filter = ("role",)
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("id", "name", "role", "stores", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        usable = Q(tokens__revoked_at__isnull=True) & (
            Q(tokens__expires_at__isnull=True) | Q(tokens__expires_at__gt=Now())
        )
        clients: QuerySet[ApiClient] = super().get_queryset(request)
        return clients.annotate(usable=models.Count("tokens", filter=usable))

    @admin.display(description="stores")
    def stores(self, client: ApiClient) -> str:
        return ", ".join(client.store_codes) or "all"

    @admin.display(description="tokens in use", ordering="usable")
    def tokens_in_use(self, client: ApiClient) -> int:
        return int(getattr(client, "usable", 0))


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens by their prefix; neither they nor their digests are ever shown."""

    list_display = ("prefix", "client", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "client__role")
    list_select_related = ("client",)
    search_fields = ("prefix", "client__name")
    ordering = ("-id",)
    fields = ("id", *list_display)
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whether the user may revoke tokens."""
        return request.user.has_perm("audit.change_apitoken")

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Make tokens useless, for good. Who uses one is refused within seconds."""
        asker = Asker(request.user.get_username(), None, request_id_of(request), "admin")
        with transaction.atomic():
            tokens = list(
                ApiToken.objects.select_for_update(of=("self",), no_key=True)
                .select_related("client")
                .filter(pk__in=queryset.values("pk"), revoked_at__isnull=True)
                .order_by("pk")
            )
            ApiToken.objects.filter(pk__in=[token.pk for token in tokens]).update(revoked_at=Now())
            with connection.cursor() as cursor:
                cursor.execute("SELECT statement_timestamp()")
                now = cursor.fetchone()[0]
            told = [{"client": token.client.name, "prefix": token.prefix} for token in tokens]
            record(
                [
                    Entry(asker, "inventory_token_revoked", token.pk, changes)
                    for token, changes in zip(tokens, told, strict=True)
                ],
                now=now,
            )
        names = ", ".join(str(token) for token in tokens) or "none: they were revoked before"
        self.message_user(request, f"Revoked: {names}", messages.SUCCESS if tokens else messages.WARNING)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """What was done, by whom and when."""

    id_fields = ("subject_id", "client_id", "pk")
    list_display = ("at", "action", "actor", "source", "store", "subject_id", "request_id")
    list_filter = ("source",)
    search_fields = ("actor__exact", "action__exact", "request_id__exact", "store__exact")
    search_help_text = "An actor, action, request id or store as it is written, or the id of what was changed"
    date_hierarchy = "at"
    ordering = ("-id",)
    fields = ("id", "at", "action", "actor", "client_id", "source", "request_id", "store", "subject_id", "what")

    @admin.display(description="changes")
    def what(self, entry: AuditEntry) -> SafeString:
        return pretty_json(entry.changes)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Answers that will be given again."""

    id_fields = ("client_id", "pk")
    list_display = ("key", "client_id", "status", "created_at")
    list_filter = ("status",)
    search_fields = ("key__exact",)
    search_help_text = "A whole key, or the id of a client"
    ordering = ("-id",)
    fields = ("id", "key", "client_id", "status", "answer", "created_at")

    @admin.display(description="answer")
    def answer(self, key: IdempotencyKey) -> SafeString:
        return pretty_json(json.loads(bytes(key.body)))


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """Events in the order in which they are told."""

    id_fields = ("event_id",)
    list_display = ("position", "type", "key", "created_at")
    search_fields = ("key__exact", "type__exact")
    search_help_text = "A key or type as it is written, or the id of an event"
    ordering = ("-position",)
    fields = ("position", "event_id", "type", "key", "what", "created_at")

    @admin.display(description="payload")
    def what(self, event: OutboxEvent) -> SafeString:
        return pretty_json(event.payload)
