"""Audit entries, idempotency keys and the outbox in the console: read only, for users of all warehouses."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit import hidden
from audit.actions import action_of, actions_called
from audit.actors import SOURCES, source_of
from audit.console.base import COUNTED_AT_MOST, ReadOnlyAdmin, client_name, pretty_json
from audit.console.changes import FieldChange, changes_in_words, names_in
from audit.console.dialogs import DIALOG_KEY
from audit.console.exports import ExportRow, newest_first
from audit.console.filters import ByActor, Days, SetByLinks, TrailAdmin, around, filtered, link, recent, within
from audit.display import NOTHING, shown_id, with_shown_ids
from audit.identifiers import NIL, RESERVATION, moment_of, parse_copied_id, parse_public_id, parse_uuid, short_id
from audit.models import BY_HAND, ApiClient, AuditEntry, IdempotencyKey, OutboxEvent
from audit.texts import without_refused

_EXPORTED: Final = (
    "id",
    "at",
    "action",
    "actor",
    "client_id",
    "source",
    "request_id",
    "store",
    "subject_id",
    "changes",
)
_STATUS: Final = re.compile("[1-5][0-9]{2}")
_CLOCKS: Final = timedelta(hours=1)
"""How far the time in an id may be from that of its event."""
_LONGEST_HOLD: Final = timedelta(days=3)
"""The time after its creation in which a reservation has events, with a sweep that was long delayed."""


def _by_hand(entries: QuerySet[Any]) -> QuerySet[Any]:
    """The entries of people and of commands, with a literal condition, so that the planner uses the partial indexes."""
    return entries.extra(where=["audit_auditentry.source IN ('admin', 'command')"])


def _is_person(actor: str) -> bool:
    """Whether only people or commands have this name in the trail. Two queries by index."""
    if not actor or ApiClient.objects.filter(name=actor).exists():
        return False
    return _by_hand(AuditEntry.objects.filter(actor=actor)).exists()


def _subject_named(term: str) -> UUID | None:
    """The id that a search has if it is that of an entry or of a subject of entries; else it may be a request id."""
    named = parse_copied_id(term)
    is_known = named and AuditEntry.objects.filter(Q(subject_id=named) | Q(pk=named)).exists()
    return named if is_known else None


class EntryDays(Days):
    """Filter by ids: entries have no index on time, but their UUIDv7s begin with it."""

    field = "at"
    by_id = True


class BySource(admin.SimpleListFilter):
    """Filter by source, from a fixed list: reading the sources from the table would scan all of it."""

    title = _("source")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, source.label) for name, source in SOURCES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = queryset.filter(source=self.value()) if self.value() else queryset
        return _by_hand(found) if self.value() in BY_HAND else found


class ByActorOfEntry(ByActor):
    """Filter by actor; by the index of what was done by hand if the actor is a person."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = super().queryset(request, queryset)
        return _by_hand(found) if _is_person(self.value() or "") else found


class ByAction(SetByLinks):
    """Filter by action."""

    title = _("action")
    parameter_name = "action_is"

    def name_of(self, chosen: str) -> str:
        return str(action_of(chosen).label)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class BySubject(SetByLinks):
    """Filter by the id of what was changed, which has an index."""

    title = _("about")
    parameter_name = "subject"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(subject_id=parse_uuid(chosen) or NIL) if (chosen := self.value()) else queryset


class OfEntry(SetByLinks, ABC):
    """Filter by an audit entry: the rows that belong to it, none if the entry does not exist."""

    @abstractmethod
    def of(self, entry: AuditEntry, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that belong to the entry."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        entry = AuditEntry.objects.filter(pk=parse_uuid(self.value() or "") or NIL).first()
        return self.of(entry, queryset) if entry else queryset.none()


class BySameRequest(OfEntry):
    """Filter by the request of one entry. Searches only entries near it in time, by the time in the ids."""

    title = _("request of the entry")
    parameter_name = "same_request_as"

    def of(self, entry: AuditEntry, rows: QuerySet[Any]) -> QuerySet[Any]:
        return around(rows, entry.at).filter(request_id=entry.request_id)


@admin.register(AuditEntry)
class AuditEntryAdmin(TrailAdmin):
    """Audit entries: what was done, by whom and when."""

    all_warehouses_only = True
    of_canary: ClassVar[Mapping[str, UUID]] = {"client_id": hidden.CLIENT_ID}
    list_display = ("at", "done", "who", "way_in", "store", "subject", "request_link")
    list_display_links = ("at",)
    list_filter = (EntryDays, BySource, ByActorOfEntry, ByAction, BySubject, BySameRequest)
    search_fields = ("actor__exact",)
    search_help_text = _("Person, action, request id or store, or the id of what changed")
    sortable_by = ()
    ordering = ("-id",)
    newest_by = "pk"
    indexed_filters = frozenset({"day"})
    selective_filters = frozenset({"subject", "same_request_as"})
    empty_hint = _("No entries in these days. Choose a longer period above.")
    export_permission = "audit.view_auditentry"
    export_name = "audit"
    export_header = (
        _("Id"),
        _("When"),
        _("Action"),
        _("By"),
        _("Client"),
        _("Source"),
        _("Request"),
        _("Store"),
        _("About"),
        _("Changes"),
    )
    fields = (
        ("at", "action_words"),
        ("actor", "client"),
        ("way_in", "store"),
        ("subject", "leads_to"),
        "whole_request",
        "what",
        "short_id",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for an id in the whole table, by index; for words in the chosen days, or else the last 30."""
        term = without_refused(search_term)
        if not term:
            return queryset, False
        if named := _subject_named(term):
            return queryset.filter(Q(subject_id=named) | Q(pk=named)), False
        if "day" not in request.GET:
            queryset = within(queryset, "at", recent(), by_id=True)
        if moment := moment_of(parse_copied_id(term)):  # A request id that was made here.
            return around(queryset, moment).filter(request_id=term), False
        meant = Q(actor=term) | Q(action__in=actions_called(term)) | Q(request_id=term) | Q(store=term)
        return queryset.filter(meant), False

    def is_found_by_index(self, request: HttpRequest, term: str) -> bool:
        """Whether a search is for an id: of a subject, of an entry, or of a request, with its time in it."""
        named = parse_copied_id(without_refused(term))
        return named is not None and (_subject_named(term) is not None or moment_of(named) is not None)

    def is_searched_without_index(self, request: HttpRequest, given: set[str], term: str) -> bool:
        """What people and commands did has indexes; the many entries of programs have none."""
        by_hand = {"source"} if request.GET.get("source") in BY_HAND else set()
        by_hand |= {"actor"} if _is_person(request.GET.get("actor", "")) else set()
        return super().is_searched_without_index(request, given - by_hand, term)

    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterator[ExportRow]:
        for *cells, changes in newest_first(rows, _EXPORTED):
            yield (*cells, json.dumps(changes, ensure_ascii=False))

    @admin.display(description=_("action"))
    def done(self, entry: AuditEntry) -> SafeString:
        return filtered(action_of(entry.action).label, action_is=entry.action)

    @admin.display(description=_("action"))
    def action_words(self, entry: AuditEntry) -> str:
        return str(action_of(entry.action).label)

    @admin.display(description=_("client"))
    def client(self, entry: AuditEntry) -> SafeString:
        return with_shown_ids(client_name(entry.client_id))

    @admin.display(description=_("id"))
    def short_id(self, entry: AuditEntry) -> SafeString:
        return shown_id(str(entry.pk))

    @admin.display(description=_("source"))
    def way_in(self, entry: AuditEntry) -> Any:
        return source_of(entry.source).label

    @admin.display(description=_("about"))
    def subject(self, entry: AuditEntry) -> SafeString:
        address = action_of(entry.action).subject.address(entry.subject_id)
        text = short_id(entry.subject_id)
        return link(text, address) if address else format_html("{}", text)

    @admin.display(description=_("request"))
    def request_link(self, entry: AuditEntry) -> SafeString:
        text = entry.request_id if len(entry.request_id) <= 14 else f"…{entry.request_id[-12:]}"
        return _all_of_request(entry, text)

    @admin.display(description=_("request"))
    def whole_request(self, entry: AuditEntry) -> SafeString:
        return _all_of_request(entry, with_shown_ids(entry.request_id))

    @admin.display(description=_("leads to"))
    def leads_to(self, entry: AuditEntry) -> SafeString:
        about = f"{reverse('admin:audit_auditentry_changelist')}?subject={entry.subject_id}&day=all"
        links = [link(_("All that was done to it"), about)]
        if related := action_of(entry.action).related:
            links.append(link(related.label, related.address(entry.pk)))
        return format_html_join(" · ", "{}", ((each,) for each in links))

    @admin.display(description=_("changes"))
    def what(self, entry: AuditEntry) -> SafeString:
        """The changes in words, one in a line; a dash without any."""
        lines = [
            (change.label, ": " if change.before is None and change.label else " ", _values(change))
            for change in changes_in_words(entry, (), names_in([entry]))
        ]
        return format_html_join("", '<span class="console-line">{}{}{}</span>', lines) or format_html("{}", NOTHING)


def _values(change: FieldChange) -> str:
    return change.after if change.before is None else f"{change.before} → {change.after}"


def _all_of_request(entry: AuditEntry, text: str) -> SafeString:
    """A link to all entries of the same request; a dash for what the service did without a request."""
    if not text:
        return format_html("{}", NOTHING)
    return link(text, f"{reverse('admin:audit_auditentry_changelist')}?same_request_as={entry.pk}&day=all")


class ByStatus(admin.SimpleListFilter):
    """Filter by the status of the answer, among those of the newest keys: all keys would be read for the choices."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = IdempotencyKey.objects.order_by("-pk").values_list("status", flat=True)[:COUNTED_AT_MOST]
        return [(str(status), str(status)) for status in sorted(set(newest))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or ""
        return queryset.filter(status=int(chosen)) if _STATUS.fullmatch(chosen) else queryset


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Idempotency keys and their stored answers."""

    all_warehouses_only = True
    id_fields = ("client_id", "pk")
    list_display = ("whole_key", "client", "status", "created_at")
    list_filter = (ByStatus,)
    search_fields = ("key__exact",)
    search_help_text = _("A whole key, or the id of a client")
    ordering = ("-id",)
    newest_by = "pk"
    empty_hint = _("No key yet. API clients and this console send one with each request that must not be repeated.")
    fields = (("client", "created_at"), "whole_key", "status", "answer", "short_id")

    def is_found_by_index(self, request: HttpRequest, term: str) -> bool:
        """Whether the search is for an id: the index of keys begins with the client."""
        return parse_copied_id(without_refused(term)) is not None

    def get_queryset(self, request: HttpRequest) -> QuerySet[IdempotencyKey]:
        names = ApiClient.objects.filter(pk=OuterRef("client_id")).values("name")
        keys: QuerySet[IdempotencyKey] = super().get_queryset(request)
        return keys.annotate(client_called=Subquery(names))

    @admin.display(description=_("client"))
    def client(self, key: IdempotencyKey) -> Any:
        """The client's name. Keys of the console show "Console": they don't store which member of staff sent them."""
        called = getattr(key, "client_called", None)
        return called or (_("Console") if key.key.startswith(DIALOG_KEY) else shown_id(str(key.client_id)))

    @admin.display(description=_("key"))
    def whole_key(self, key: IdempotencyKey) -> SafeString:
        return with_shown_ids(key.key)

    @admin.display(description=_("id"))
    def short_id(self, key: IdempotencyKey) -> SafeString:
        return shown_id(str(key.pk))

    @admin.display(description=_("answer"))
    def answer(self, key: IdempotencyKey) -> SafeString:
        return pretty_json(json.loads(bytes(key.body)))


def _days_of_event(term: str) -> tuple[datetime, datetime] | None:
    """The time in which events that a search finds were made; None if its text doesn't say."""
    reservation = parse_public_id(RESERVATION, term)
    named = reservation or parse_copied_id(term)
    made_at = moment_of(named)
    if made_at is None:
        return None
    return made_at - _CLOCKS, made_at + (_LONGEST_HOLD if reservation else _CLOCKS)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """Outbox events, the newest first."""

    all_warehouses_only = True
    id_fields = ("event_id",)
    list_display = ("position", "type", "about", "created_at")
    search_fields = ("key__exact", "type__exact")
    search_help_text = _("Key, type or id of an event")
    ordering = ("-position",)
    newest_by = "position"
    empty_hint = _("No event is kept. Each change of stock or of a reservation writes one.")
    fields = (("position", "created_at"), ("type", "about"), "short_id", "what")

    def is_found_by_index(self, request: HttpRequest, term: str) -> bool:
        """Whether the search has a time in it, as ids have, which leads to the partitions of some days."""
        return _days_of_event(without_refused(term)) is not None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for an event's id around its time, and for a reservation's events from its creation on."""
        term = without_refused(search_term)
        named = parse_copied_id(term)
        if named is None:
            return super().get_search_results(request, queryset, search_term)
        days = _days_of_event(term)
        found = queryset.filter(created_at__gte=days[0], created_at__lt=days[1]) if days else queryset
        return found.filter(Q(event_id=named) | Q(key=term.lower())), False

    @admin.display(description=_("key"))
    def about(self, event: OutboxEvent) -> SafeString:
        return with_shown_ids(event.key)

    @admin.display(description=_("id"))
    def short_id(self, event: OutboxEvent) -> SafeString:
        return shown_id(str(event.event_id))

    @admin.display(description=_("payload"))
    def what(self, event: OutboxEvent) -> SafeString:
        return pretty_json(event.payload)
