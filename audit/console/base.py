"""Base classes of the console's pages: reach, permissions, lists, and forms that are saved by services."""

import json
from abc import ABCMeta
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, reduce, wraps
from operator import or_
from typing import Any, ClassVar, Final, NoReturn
from uuid import UUID, uuid5

from django import forms
from django.contrib import admin
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.options import InlineModelAdmin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.forms import MediaDefiningClass
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.utils import display_for_label
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from audit.actions import registered
from audit.actors import Actor
from audit.console.lists import ConsoleList, ReadByIndex
from audit.console.model_forms import CheckedFields
from audit.console.parameters import CheckedFilters
from audit.console.seen import CarriesSeen
from audit.console.texts import LineField
from audit.context import request_id_of
from audit.display import NOTHING, with_shown_ids
from audit.identifiers import parse_copied_id
from audit.models import ApiClient, StaffAccess
from audit.texts import without_refused
from audit.whole_numbers import grouped

COUNTED_AT_MOST: Final = 10_000
"""The most rows that a list counts and pages through. To reach later ones, filter the list."""
_STAFF: Final = UUID("6f1d6a0e-3f0c-5a53-9d58-0c6f8b1f7c11")


def actor_of(request: HttpRequest) -> Actor:
    """The actor of a console request: the user, limited to their warehouses (``StaffAccess``).

    One query for each user object.
    """
    return actor_for(request.user, request_id_of(request))


def actor_for(user: Any, request_id: str) -> Actor:
    """``actor_of`` without a request, for work in the background."""
    if not hasattr(user, "_warehouse_codes"):
        user._warehouse_codes = StaffAccess.of(user).codes
    codes = user._warehouse_codes
    return Actor(user.get_username(), None, request_id, "admin", warehouse_codes=codes, account_id=user.pk)


def claimant_of(request: HttpRequest) -> UUID:
    """The id under which a member of staff claims idempotency keys, as an API client does under its own."""
    return claimant_for(request.user)


def claimant_for(user: Any) -> UUID:
    """``claimant_of`` without a request, for work in the background."""
    return uuid5(_STAFF, str(user.pk))


def reach_of(request: HttpRequest) -> bytes:
    """The user's warehouses as bytes, a part of the fingerprints of the user's idempotency keys; empty for all."""
    return reach_for(actor_of(request))


def reach_for(actor: Actor) -> bytes:
    """``reach_of`` without a request, for work in the background."""
    codes = actor.warehouse_codes
    return b"" if codes is None else ",".join(sorted(codes)).encode() or b"-"


def may_read_trail(request: HttpRequest) -> bool:
    """Whether a user may read audit entries: with the permission, and only users of all warehouses."""
    return request.user.has_perm("audit.view_auditentry") and actor_of(request).sees_all_warehouses


def client_name(client_id: UUID | None) -> str:
    """The name of an API client; its id if the client is gone, a dash for None. One query."""
    if client_id is None:
        return NOTHING
    return ApiClient.objects.filter(pk=client_id).values_list("name", flat=True).first() or str(client_id)


class Pages(Paginator):  # type: ignore[type-arg]
    """A paginator for big tables: rows beyond ``COUNTED_AT_MOST`` are not counted and have no pages.

    ``counted_by`` is the indexed field along whose order rows are counted; empty for no order.
    """

    counted_by: str = ""

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            order = [self.counted_by] if self.counted_by else []
            return int(rows.order_by(*order)[: COUNTED_AT_MOST + 1].count())
        return len(rows)

    @cached_property
    def count(self) -> int:
        """The number of rows that have pages."""
        return min(self._counted, COUNTED_AT_MOST)

    @property
    def has_more(self) -> bool:
        """Whether there are more rows than the pager shows."""
        return self._counted > COUNTED_AT_MOST

    @property
    def shown_count(self) -> str:
        """The number of rows as text, "more than 10,000" if there are more than the pager shows."""
        number = grouped(self.count)
        return str(_("more than %(number)s")) % {"number": number} if self.has_more else str(number)


class Reach:
    """Limits an admin to the rows in the user's reach. Other rows are missing from lists, search and autocomplete, and
    their addresses answer 404.

    ``warehouse_paths`` lead from a row to the codes of its warehouses; a row is in reach if one of them is. With
    ``belongs_to_no_warehouse``, as for products, all rows are in everybody's reach. With ``all_warehouses_only`` only
    users of all warehouses see any row. Without any of these, users of some warehouses see no row. With
    ``shared_by_all`` only users of all warehouses may change rows.

    ``of_canary`` maps a field to the id that the canary's rows (``audit.hidden``) have in it; nobody sees them. Not
    needed where the model's default manager leaves them out.
    """

    warehouse_paths: ClassVar[tuple[str, ...]] = ()
    belongs_to_no_warehouse: ClassVar[bool] = False
    all_warehouses_only: ClassVar[bool] = False
    shared_by_all: ClassVar[bool] = False
    of_canary: ClassVar[Mapping[str, UUID]] = {}

    def within(self, rows: QuerySet[Any], actor: Actor) -> QuerySet[Any]:
        """The rows in reach of a user of some warehouses."""
        if self.belongs_to_no_warehouse:
            return rows
        in_reach = [Q(**{f"{path}__in": actor.warehouse_codes or ()}) for path in self.warehouse_paths]
        return rows.filter(reduce(or_, in_reach)) if in_reach else rows.none()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        if self.of_canary:
            rows = rows.exclude(**self.of_canary)
        actor = actor_of(request)
        return rows if actor.sees_all_warehouses else self.within(rows, actor)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = bool(super().has_view_permission(request, obj))  # type: ignore[misc]
        return may and not self._is_out_of_reach(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        may = bool(super().has_module_permission(request))  # type: ignore[misc]
        return may and not self._is_out_of_reach(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        own = super().has_add_permission  # type: ignore[misc]
        may = own(request, obj) if isinstance(self, InlineModelAdmin) else own(request)
        return bool(may) and self._may_change(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and self._may_change(request)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_delete_permission(request, obj)) and self._may_change(request)  # type: ignore[misc]

    def _is_out_of_reach(self, request: HttpRequest) -> bool:
        return self.all_warehouses_only and not actor_of(request).sees_all_warehouses

    def _may_change(self, request: HttpRequest) -> bool:
        is_limited = self.all_warehouses_only or self.shared_by_all
        return not is_limited or actor_of(request).sees_all_warehouses


class ReadOnly:
    """Forbid adding, changing and deleting, whatever permissions a user has."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AbstractAdmin(ABCMeta, MediaDefiningClass):
    """The metaclass of admins with abstract methods: a subclass that lacks one can't be registered."""


class ConsoleAdmin(CarriesSeen, ReadByIndex, Reach, CheckedFilters, CheckedFields, ModelAdmin):  # type: ignore[misc]
    """A list and a page for each row. A search for an id, public (``res-…``) or bare, looks in ``id_fields`` alone.

    Unfold checks the permissions of actions when they are called. Its system check of their names is left out: it
    queries the database, which has no tables yet when a new one is migrated.
    """

    checks_class = ModelAdminChecks
    id_fields: ClassVar[tuple[str, ...]] = ("pk",)
    finds_codes: ClassVar[bool] = False
    """Whether scanning a code on this list finds products and places alone. Other lists are searched for it, too."""
    number_columns: ClassVar[tuple[str, ...]] = ()
    """Columns of the list that have numbers, beside the row's own fields of whole numbers."""
    list_per_page = 25
    list_max_show_all = 25
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = Pages
    list_fullwidth = True
    compressed_fields = True
    empty_hint: ClassVar[Any] = _("Nothing here yet.")
    """Shown when the list is empty without any filter: what to do."""
    empty_hints: ClassVar[Mapping[str, Any]] = {}
    """Replaces ``empty_hint`` for filtered lists that the sidebar opens, by query, such as ``status__exact=OPEN``."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return ConsoleList

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Add ``empty_hint``: the text from ``empty_hints`` for this query, or None."""
        made: Any = super().get_changelist_instance(request)
        made.empty_hint = self.empty_hints.get(request.GET.urlencode())
        return made

    def sees_some_rows(self, request: HttpRequest) -> bool:
        return not self.belongs_to_no_warehouse and not actor_of(request).sees_all_warehouses

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        search_term = without_refused(search_term)
        named = parse_copied_id(search_term)
        if named and self.id_fields:
            # Only the fields that have it: no index answers an OR over several tables.
            rows = self.model._default_manager
            fields = [field for field in self.id_fields if rows.filter(**{field: named}).exists()]
            wanted = reduce(or_, (Q(**{field: named}) for field in fields), Q(pk__in=()))
            return queryset.filter(wanted), True  # Joins may return a row twice.
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def actions_named(self, offered: Iterable[Any], names: Collection[str]) -> list[Any]:
        """Filter actions by name, which is the name of the admin's attribute."""
        full_names = {f"{self.opts.app_label}_{self.opts.model_name}_{name}" for name in names}
        return [action for action in offered if action.action_name in full_names]

    def history_of(self, request: HttpRequest, row: Any) -> dict[UUID, str]:
        """The subjects of the audit entries that are the history of a row, each with its name if it isn't the row."""
        return {row.pk: ""} if isinstance(row.pk, UUID) else {}

    def has_history(self) -> bool:
        """Whether audit entries are about these rows, so that their pages lead to their history."""
        page = f"{self.opts.app_label}_{self.opts.model_name}"
        return any(action.subject.page == page for action in registered())

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["show_history"] = self.has_history()
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The history of a row from the audit entries, in place of Django's own."""
        from audit.console.history import answer_history  # noqa: PLC0415 - it is made of this module

        return answer_history(self, request, object_id)

    def require_view(self, request: HttpRequest) -> None:
        """Raise PermissionDenied for a user who may not open this list: its actions aren't for them either."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> NoReturn:
        """Answer 404 for a row that is missing or out of reach; Django would redirect to the index."""
        raise Http404


class ReadOnlyAdmin(ReadOnly, ConsoleAdmin):
    """A list of rows that can't be edited: stock is changed by services, never by a model form."""


class ReadOnlyInline(ReadOnly, Reach, TabularInline):  # type: ignore[misc]
    """Related rows on the page of their parent, read only."""

    extra = 0
    hide_title = True
    template_before = "console/lists/inline.html"
    empty_hint: ClassVar[Any] = _("Nothing here yet.")
    """Shown when there are no rows."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All fields: otherwise an inline looks for a form field for each."""
        return self.fields or ()


def multiple_choice(choices: Any, **options: Any) -> forms.MultipleChoiceField:
    """A choice of several values, as checkboxes."""
    return forms.MultipleChoiceField(
        choices=choices, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget(), **options
    )


def text_field(max_length: int = 200, *, kind: type[LineField] = LineField, **options: Any) -> LineField:
    """An optional line of text."""
    return kind(max_length=max_length, required=False, widget=UnfoldAdminTextInputWidget(), **options)


def badge(
    description: Any, kinds: dict[str, str], *, ordering: str | None = None
) -> Callable[[Callable[[Any, Any], tuple[str, Any]]], Callable[[Any, Any], SafeString]]:
    """A badge in a list or on a page. The decorated method returns (key, text); ``kinds`` gives the style of each key,
    such as ``danger``.
    """

    def made(method: Callable[[Any, Any], tuple[str, Any]]) -> Callable[[Any, Any], SafeString]:
        @admin.display(description=description, ordering=ordering)
        @wraps(method)
        def shown(model_admin: Any, row: Any) -> SafeString:
            label: SafeString = display_for_label(method(model_admin, row), NOTHING, kinds)
            return label

        return shown

    return made


def in_pairs(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Group field names in rows of two; three would cut an id."""
    return [tuple(names[place : place + 2]) for place in range(0, len(names), 2)]


def non_empty_fields(row: Any, *names: str) -> list[str]:
    """Of these fields, those that are neither None nor empty text: a page leaves out the others."""
    return [name for name in names if getattr(row, name) not in (None, "")]


class WarehouseFilter(admin.RelatedFieldListFilter):
    """A filter by warehouse that offers only warehouses in the user's reach."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        codes = actor_of(request).warehouse_codes
        limits = {} if codes is None else {"code__in": codes}
        choices: list[tuple[str, Any]] = field.get_choices(
            include_blank=False, ordering=("code",), limit_choices_to=limits
        )
        return choices


def pretty_json(value: Any) -> SafeString:
    """Indented JSON, with the ends of ids; copying it copies whole ids. A dash for None."""
    text = NOTHING if value is None else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="whitespace-pre-wrap console-json">{}</pre>', with_shown_ids(text))
