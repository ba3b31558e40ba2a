"""Console pages of reservations. Their dialogs call the same services as the API."""

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Final, cast

from django.contrib import admin
from django.db.models import (
    Case,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    actor_of,
    client_name,
    in_pairs,
    may_read_trail,
    non_empty_fields,
)
from audit.console.filters import link
from audit.console.selection import selected_ids
from audit.display import NOTHING, shown_id
from audit.identifiers import parse_copied_id
from audit.models import ApiClient
from audit.texts import without_refused
from inventory.admin.stock.shared_columns import OfLevel
from inventory.models import StockLevel, Store, Warehouse
from inventory.models.catalogue_querysets import in_reach
from reservations.admin.holds.countdown import countdown
from reservations.admin.holds.dialogs import (
    CHOSEN_AT_MOST,
    ConsumeDialog,
    ExtendDialog,
    HoldsDialog,
    ReleaseDialog,
)
from reservations.admin.holds.timeline import life_of
from reservations.models.holds import Reservation, ReservationItem, ReservationQuerySet

SOON: Final = timedelta(minutes=5)
"""The remaining time from which a hold counts as ending soon."""

"""The number of last characters of an id that the list shows: enough to distinguish it from its neighbours."""
Status = Reservation.Status
_TONES: Final = {Status.ACTIVE: "is-active", Status.CONSUMED: "is-sold", Status.EXPIRED: "is-expired"}
_NAMES: Final[dict[str, Any]] = {**dict(Status.choices), Status.CONSUMED.value: _("Sold")}
"""Labels of the statuses. The console says "sold" where the API says "consumed"."""


class ItemInline(OfLevel, ReadOnlyInline):
    """The items of a reservation."""

    model = ReservationItem
    verbose_name_plural = _("Items")
    warehouse_paths = ("level__warehouse__code",)
    fields = ("sku", "name", "warehouse", "chosen_by", "quantity", "unit_price", "held_until")
    may_open_levels: bool = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReservationItem]:
        self.may_open_levels = request.user.has_perm("inventory.view_stocklevel")
        return super().get_queryset(request).select_related("level__product", "level__warehouse").order_by("id")

    @admin.display(description=_("SKU"))
    def sku(self, row: ReservationItem) -> str:
        """The SKU, as a link to the stock level for users who may see it."""
        sku = row.level.product.sku
        if not self.may_open_levels:
            return sku
        return link(sku, reverse(f"{self.admin_site.name}:inventory_stocklevel_change", args=[row.level_id]))

    @admin.display(description=_("chosen by"))
    def chosen_by(self, item: ReservationItem) -> Any:
        """Whether the shop named the warehouse, or it was sourced."""
        return _("the shop") if item.pinned else _("the store's order")


class ReservationState(admin.SimpleListFilter):
    """Filter by status, due holds counting as expired."""

    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(name)) for value, name in _NAMES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        return cast("ReservationQuerySet", queryset).in_state(state) if state in Status.values else queryset


class TimeLeft(admin.SimpleListFilter):
    """Filter for holds that end soon, and for due holds that are not recorded as expired yet."""

    title = _("time left")
    parameter_name = "time"
    names: Final = frozenset({"soon", "later", "due"})

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        soon = str(_("Ends within %(minutes)d minutes")) % {"minutes": SOON.seconds // 60}
        return [("soon", soon), ("later", str(_("Ends later"))), ("due", str(_("Expired, being released")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        reservations = cast("ReservationQuerySet", queryset)
        match self.value():
            case "soon":
                return reservations.in_state(Status.ACTIVE).filter(expires_at__lte=Now() + Value(SOON))
            case "later":
                return reservations.in_state(Status.ACTIVE).filter(expires_at__gt=Now() + Value(SOON))
            case "due":
                return reservations.due()
        return queryset


class StoreFilter(admin.SimpleListFilter):
    """Filter by store."""

    title = _("store")
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        stores = Store.objects.visible_to(actor_of(request)).order_by("code")
        return [(code, code) for code in stores.values_list("code", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        code = self.value()
        return cast("ReservationQuerySet", queryset).of_stores([code]) if code else queryset


class HeldIn(admin.SimpleListFilter):
    """Filter by a warehouse of the reservation's items."""

    title = _("warehouse")
    parameter_name: str = "warehouse"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        warehouses = Warehouse.objects.visible_to(actor_of(request)).order_by("code")
        return [(code, code) for code in warehouses.values_list("code", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        reservations, codes = cast("ReservationQuerySet", queryset), [str(self.value())]
        return reservations.holding_in(codes) if _is_of_active(request) else reservations.with_item_in(codes)


def _of_chosen(dialog: type[HoldsDialog], verb: str, label: Any) -> Callable[..., HttpResponse | None]:
    """Make the list's action that opens a dialog for the chosen rows."""

    @admin.action(description=label, permissions=[verb])
    def opened(model_admin: "ReservationAdmin", request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        chosen = selected_ids(request, queryset.order_by("-pk"), CHOSEN_AT_MOST)
        return None if chosen is None else dialog(model_admin, request, chosen=chosen).open()

    opened.__name__ = f"{verb}_chosen"
    return opened


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """The list and the page of reservations, the newest first."""

    class Media:
        css: ClassVar = {"all": ["console/reservations.css"]}
        js: ClassVar = ["console/countdown.js"]

    list_display = (
        "listed_id",
        "state",
        "time_left",
        "units",
        "store",
        "sold_as",
        "customer_id",
        "created_at",
    )
    number_columns = ("units",)
    list_filter = (ReservationState, TimeLeft, StoreFilter, HeldIn)
    list_select_related = ("store",)
    empty_hint = _(
        "No reservation yet. Shops make them through the API, as soon as an administrator has given them a token under"
        " API clients."
    )
    search_fields = ("cart_id__exact", "order_id__exact", "customer_id__exact")
    search_help_text = _("Order, cart or customer number, or the id of a reservation or product")
    ordering = ("-id",)
    inlines = (ItemInline,)
    newest_by = "pk"
    indexed_filters = frozenset({"store"})
    change_form_after_template = "console/reservations/timeline.html"
    actions = (
        _of_chosen(ReleaseDialog, "release", _("Release")),
        _of_chosen(ExtendDialog, "extend", _("Extend")),
        _of_chosen(ConsumeDialog, "consume", _("Sell for an order")),
    )
    actions_row = actions_detail = ("release", "extend", "consume")

    # -------------------------------------------------------------------------------------------------------- rows

    def within(self, rows: Any, actor: Actor) -> QuerySet[Reservation]:
        """The reservations with an item in one of the actor's warehouses."""
        reservations: QuerySet[Reservation] = rows.visible_to(actor)
        return reservations

    def indexed_orders(self, request: HttpRequest) -> set[str]:
        return {"expires_at"} if _is_of_active(request) else set()

    def is_searched_without_index(self, request: HttpRequest, given: set[str], term: str) -> bool:
        return not _is_of_active(request) and super().is_searched_without_index(request, given, term)

    def in_searched_rows(self, request: HttpRequest, rows: QuerySet[Any], *, oldest: Any, behind: Any) -> QuerySet[Any]:
        """Name the items of the searched reservations, too: the planner doesn't know that they are as few."""
        codes, chosen = actor_of(request).warehouse_codes, request.GET.get(HeldIn.parameter_name)
        if chosen:
            codes = (chosen,)
        if codes is None:
            return rows
        levels = StockLevel.objects.filter(warehouse__code__in=codes).order_by()
        items = ReservationItem.objects.filter(reservation__gte=oldest, level__in=levels.values("pk"))
        if behind is not None:
            items = items.filter(reservation__lt=behind)
        return rows.filter(pk__in=items.values("reservation"))

    def is_found_by_index(self, request: HttpRequest, term: str) -> bool:
        """Whether a search isn't for all reservations of a client."""
        named = parse_copied_id(without_refused(term))
        return not named or not ApiClient.objects.filter(pk=named).exists()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A search for an id finds the reservation, or else those of the client or of the product."""
        named = parse_copied_id(without_refused(search_term))
        if not named:
            return super().get_search_results(request, queryset, search_term)
        if Reservation.objects.filter(pk=named).exists():
            return queryset.filter(pk=named), False
        if ApiClient.objects.filter(pk=named).exists():
            return queryset.filter(client_id=named), False
        return cast("ReservationQuerySet", queryset).of_products([named]), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        dead = When(status=Status.ACTIVE, expires_at__lte=Now(), then=Value(Status.EXPIRED.value))
        seen = ReservationItem.objects.filter(in_reach(actor_of(request), "level__warehouse"))
        items = seen.filter(reservation=OuterRef("pk")).order_by().values("reservation")
        left = ExpressionWrapper(F("expires_at") - Now(), DurationField())
        reservations = cast("ReservationQuerySet", super().get_queryset(request))
        codes = actor_of(request).warehouse_codes
        if codes is not None and _is_of_active(request):
            reservations = reservations.holding_in(codes)
        return reservations.annotate(
            state_read=Case(dead, default=F("status")),
            units=Subquery(items.annotate(units=Sum("quantity")).values("units")),
            left=left,
        )

    @admin.display(description=_("reservation"), ordering="id")
    def listed_id(self, reservation: Reservation) -> SafeString:
        return shown_id(reservation.public_id)

    @admin.display(description=_("status"), ordering="state_read")
    def state(self, reservation: Reservation) -> SafeString:
        state = Status(state_of(reservation))
        look = _TONES.get(state, "")
        name = _NAMES[state.value]
        return format_html('<span class="console-badge {}" data-state="{}">{}</span>', look, state.value, name)

    @admin.display(description=_("time left"), ordering="expires_at")
    def time_left(self, reservation: Reservation) -> SafeString | str:
        """The time left when the page was rendered; ``countdown.js`` counts down from there."""
        if state_of(reservation) != Status.ACTIVE:
            return NOTHING
        seconds = max(0, int(reservation.left.total_seconds()))  # type: ignore[attr-defined]
        return countdown(seconds, expired=Status.EXPIRED.label)

    @admin.display(description=_("cart and order"))
    def sold_as(self, reservation: Reservation) -> SafeString:
        """Order and cart in one column: two columns would leave no room for the row's actions."""
        named = [(_("Cart"), reservation.cart_id), (_("Order"), reservation.order_id)]
        lines = [(id_, word, id_) for word, id_ in named if id_]
        return format_html_join("", '<span class="console-line" title="{}"><small>{}</small> {}</span>', lines)

    @admin.display(description=_("client"))
    def client(self, reservation: Reservation) -> str:
        return client_name(reservation.client_id)

    @admin.display(description=_("units"))
    def units(self, reservation: Reservation) -> int:
        return int(getattr(reservation, "units", 0) or 0)

    # -------------------------------------------------------------------------------------------------------- page

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add the timeline of the hold. Its request ids are links to the trail for users who may read the trail."""
        reservation = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context = dict(extra_context or {})
        if reservation is not None:
            is_due = reservation.status == Status.ACTIVE and state_of(reservation) == Status.EXPIRED
            context["life"] = life_of(reservation, actor_of(request).warehouse_codes or (), is_due=is_due)
            context["may_open_trail"] = may_read_trail(request)
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show only fields with a value: a hold that was not extended has no ``extended_at``."""
        told = ["state", "time_left", "store", "units", "created_at", "expires_at"]
        if obj is not None:
            where = ("cart_id", "order_id", "customer_id", "extended_at", "consumed_at", "released_at", "reason")
            told += non_empty_fields(obj, *where)
            told += [*(["client"] if obj.client_id else []), *non_empty_fields(obj, "reacquired_from")]
        return ["listed_id", *in_pairs(told)]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer only the actions that are still possible: an expired hold can only be sold, for a late payment."""
        offered = super().get_actions_detail(request, object_id)
        reservation = self.get_object(request, str(object_id))
        is_limited = not actor_of(request).sees_all_warehouses
        may = open_verbs(reservation, is_limited=is_limited) if reservation else ()
        return self.actions_named(offered, may)

    # ----------------------------------------------------------------------------------------------------- actions

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ReleaseDialog.permission)

    def has_extend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ExtendDialog.permission)

    def has_consume_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ConsumeDialog.permission)

    release = ReleaseDialog.as_action(url_path="release", icon="undo", label=_("Release"))
    extend = ExtendDialog.as_action(url_path="extend", icon="more_time", label=_("Extend"))
    consume = ConsumeDialog.as_action(url_path="consume", icon="sell", label=_("Sell for an order"))

    def get_urls(self) -> list[URLPattern]:
        """Add the URLs that the forms for chosen rows are sent to."""
        dialogs: dict[str, type[HoldsDialog]]
        dialogs = {"release": ReleaseDialog, "extend": ExtendDialog, "consume": ConsumeDialog}
        chosen = [
            path(
                f"chosen/{verb}/",
                self.admin_site.admin_view(partial(self._answer, dialog)),
                name=f"reservations_reservation_chosen_{verb}",
            )
            for verb, dialog in dialogs.items()
        ]
        return [*chosen, *super().get_urls()]

    def _answer(self, dialog: type[HoldsDialog], request: HttpRequest) -> HttpResponse:
        return dialog(self, request).answer()


def _is_of_active(request: HttpRequest) -> bool:
    """Whether a list is of active reservations only, which are few and have an index."""
    return request.GET.get("state") == Status.ACTIVE or request.GET.get("time") in TimeLeft.names


def state_of(reservation: Reservation) -> str:
    """The status, EXPIRED for a due hold."""
    return str(getattr(reservation, "state_read", reservation.status))


def open_verbs(reservation: Reservation, *, is_limited: bool) -> Collection[str]:
    if state_of(reservation) == Status.ACTIVE:
        return {"release", "consume"} if reservation.extended_at else {"release", "extend", "consume"}
    late = set() if is_limited else {"consume"}
    if reservation.status == Status.ACTIVE:
        return late | {"release"}
    return late if reservation.status == Status.EXPIRED else set()
