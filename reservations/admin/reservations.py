"""Holds in the console. For reading: they are made and ended by services alone."""

from collections.abc import Collection
from typing import Any

from django.contrib import admin
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, ReadOnlyInline
from reservations.models import Reservation, ReservationItem


class ItemInline(ReadOnlyInline):
    """What a reservation holds, or held."""

    model = ReservationItem
    verbose_name_plural = _("Items")
    warehouse_paths = ("level__warehouse__code",)
    fields = ("sku", "name", "warehouse", "quantity", "unit_price", "pinned", "held_until")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReservationItem]:
        return super().get_queryset(request).select_related("level__product", "level__warehouse").order_by("id")

    @admin.display(description=_("SKU"))
    def sku(self, item: ReservationItem) -> str:
        return item.level.product.sku

    @admin.display(description=_("product"))
    def name(self, item: ReservationItem) -> str:
        return item.level.product.name

    @admin.display(description=_("warehouse"))
    def warehouse(self, item: ReservationItem) -> str:
        return item.level.warehouse.code


class ReservationState(admin.SimpleListFilter):
    """By the state as it reads: a due hold is an expired one, swept or not."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in Reservation.Status.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        return queryset if state not in Reservation.Status.values else queryset.in_state(state)  # type: ignore[attr-defined]


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """Who holds what until when, the newest first."""

    id_fields = ("pk", "client_id", "items__level__product_id")
    list_display = (
        "public_id",
        "state",
        "store",
        "cart_id",
        "order_id",
        "customer_id",
        "units",
        "expires_at",
        "created_at",
    )
    list_filter = (ReservationState, "store")
    list_select_related = ("store",)
    search_fields = ("cart_id__exact", "order_id__exact", "customer_id__exact")
    search_help_text = _("A cart, order or customer as it is written, or the id of a reservation or product")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = (
        "public_id",
        "state",
        "store",
        ("cart_id", "order_id", "customer_id"),
        "created_at",
        "expires_at",
        "extended_at",
        "consumed_at",
        "released_at",
        "reason",
        "client_id",
        "reacquired_from",
    )
    inlines = (ItemInline,)

    def within(self, rows: QuerySet[Any], codes: Collection[str]) -> QuerySet[Any]:
        """Those that hold something there."""
        items = ReservationItem.objects.filter(reservation=OuterRef("pk"), level__warehouse__code__in=codes)
        return rows.filter(Exists(items))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        dead = When(
            status=Reservation.Status.ACTIVE, expires_at__lte=Now(), then=Value(Reservation.Status.EXPIRED.value)
        )
        items = ReservationItem.objects.filter(reservation=OuterRef("pk")).order_by().values("reservation")
        reservations: QuerySet[Reservation] = super().get_queryset(request)
        return reservations.annotate(
            state_read=Case(dead, default=F("status")),
            units=Subquery(items.annotate(units=Sum("quantity")).values("units")),
        )

    @admin.display(description=_("reservation"), ordering="id")
    def public_id(self, reservation: Reservation) -> str:
        return reservation.public_id

    @admin.display(description=_("state"), ordering="state_read")
    def state(self, reservation: Reservation) -> str:
        return str(getattr(reservation, "state_read", reservation.status))

    @admin.display(description=_("units"))
    def units(self, reservation: Reservation) -> int:
        return int(getattr(reservation, "units", 0) or 0)
