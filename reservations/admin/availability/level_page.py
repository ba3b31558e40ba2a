"""The page of a stock level, which explains its figures. It is here and not in inventory because it shows holds."""

from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from audit.console.base import actor_of
from audit.identifiers import RESERVATION, public_id
from inventory import planning
from inventory.admin.stock.levels import StockLevelAdmin
from inventory.admin.stock.marks import is_retired, with_warnings
from inventory.models import LowStockAlert, Movement, StockLevel, Transfer
from inventory.services.catalogue.stock_warnings import warnings_of_levels
from reservations.admin.holds.countdown import countdown
from reservations.services.availability.explanation import Explained, Explanation, HoldsOfKind, explain

CHART_DAYS: Final = 30
_WIDTH, _HEIGHT, _PADDING = 600, 160, 8


@admin.register(StockLevel)
class ExplainedStockAdmin(StockLevelAdmin):
    """The admin of stock levels, with the explanation of the figures on each level's page."""

    change_form_outer_before_template = "console/stock/level.html"

    class Media:
        css: ClassVar = {"all": ["console/reservations.css"]}
        js: ClassVar = ["console/countdown.js"]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = extra_context or {}
        if object_id is not None and request.method == "GET" and self.has_view_permission(request):
            level = self.get_object(request, object_id)
            if level is None:
                raise Http404
            with_warnings([level])
            context = {**context, **_explained(request, level), "title": str(level)}
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return answer


def _explained(request: HttpRequest, level: StockLevel) -> dict[str, Any]:
    """The context of a level's page. The number of queries doesn't depend on the number of holds or transfers."""
    explained = explain(actor_of(request), level.product_id, level.warehouse.code)
    (found,) = explained.levels
    warnings = warnings_of_levels([level.pk]).get(level.pk, ())
    is_watched = planning.full_level(level) is not None and not is_retired(level)
    severity = planning.severity(level, found.on_hand - found.reserved) if is_watched else None
    return {
        "level": level,
        "why": found,
        "available": found.on_hand - found.reserved,
        "active_holds": _holds(found.active, explained),
        "due_holds": _holds(found.due, explained),
        "transfers": _transfers(found),
        "moves": _moves(found),
        "warnings": warnings,
        "blocked": max(0, found.on_hand - found.reserved - found.safety_stock + found.due.units),
        "is_watched": is_watched,
        "severity": severity,
        "severity_label": LowStockAlert.Severity(severity.value).label if severity else None,
        "chart": on_hand_chart(_on_hand_of(level, found.on_hand, explained)),
        "chart_days": CHART_DAYS,
    }


def _holds(held: HoldsOfKind, explained: Explained) -> list[dict[str, Any]]:
    return [
        {
            "id": public_id(RESERVATION, hold.reservation_id),
            "url": reverse("admin:reservations_reservation_change", args=[hold.reservation_id]),
            "store": hold.store,
            "for_whom": hold.order_id or hold.cart_id or hold.customer_id or "–",
            "units": hold.quantity,
            "until": hold.held_until,
            "left": _left(hold.held_until, explained.now),
        }
        for hold in held.shown
    ]


def _left(until: datetime, now: datetime) -> SafeString:
    """The time left, with the end as its tooltip."""
    ends = str(date_format(timezone.localtime(until), "DATETIME_FORMAT"))
    return countdown(max(0, int((until - now).total_seconds())), title=ends)


def _transfers(found: Explanation) -> list[dict[str, Any]]:
    shown = found.incoming.shown
    numbers = {row.pk: row.short_number for row in Transfer.objects.filter(pk__in=[line.transfer_id for line in shown])}
    return [
        {
            "number": numbers.get(line.transfer_id, ""),
            "url": reverse("admin:inventory_transfer_change", args=[line.transfer_id]),
            "source": line.source,
            "units": line.quantity,
            "expected": line.expected_delivery,
        }
        for line in shown
    ]


def _moves(found: Explanation) -> list[dict[str, Any]]:
    return [
        {
            "url": reverse("admin:inventory_movement_change", args=[move.id]),
            "at": move.created_at,
            "type": Movement.Type(move.type).label,
            "change": f"{move.quantity:+d}",
            "after": move.quantity_after,
            "reason": move.reason,
            "reference": move.reference,
            "actor": move.actor,
        }
        for move in found.movements
    ]


# ------------------------------------------------------------------------------------------------------------ the chart


def _on_hand_of(level: StockLevel, on_hand: int, explained: Explained) -> list[tuple[date, int]]:
    """On hand at the end of each of the last days in the user's time zone; for today, on hand now."""
    today = timezone.localdate(explained.now)
    days = [today - timedelta(days=back) for back in range(CHART_DAYS - 1, -1, -1)]
    moved = Movement.objects.on_hand_by_day(level.pk, days[0])
    figure = moved[min(moved)][0] if moved else on_hand
    figures = []
    for day in days:
        figure = moved[day][1] if day in moved else figure
        figures.append((day, figure))
    figures[-1] = (today, on_hand)
    return figures


def on_hand_chart(figures: list[tuple[date, int]]) -> dict[str, Any]:
    """The context of the chart of on hand by day: a step for each day, from left to right, with 0 at the bottom."""
    most = max(figure for _, figure in figures) or 1
    step = _WIDTH / len(figures)

    def height(figure: int) -> float:
        return round(_HEIGHT - _PADDING - figure * (_HEIGHT - 2 * _PADDING) / most, 1)

    corners = []
    for index, (_, figure) in enumerate(figures):
        corners += [f"{round(index * step, 1)},{height(figure)}", f"{round((index + 1) * step, 1)},{height(figure)}"]
    line = " ".join(corners)
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "line": line,
        "area": f"0,{_HEIGHT - _PADDING} {line} {_WIDTH},{_HEIGHT - _PADDING}",
        "most": most,
        "first": figures[0],
        "last": figures[-1],
        "least": min(figure for _, figure in figures),
        "figures": figures,
        "columns": [
            {"x": round(index * step, 1), "width": round(step, 1), "day": day, "figure": figure}
            for index, (day, figure) in enumerate(figures)
        ],
    }
