"""The console's dashboard. Each figure is a link to the list that it counts.

A user sees only figures of lists that they may open, counted over their own warehouses. Expensive figures are cached
for some seconds, in the process, so that they depend on no other service.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q, Sum, Value
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.db.lookups import evaluated_once
from audit.hidden import STORE_ID
from audit.identifiers import first_id_at
from config.dashboard.parts import Card, Chart, Figure, Hour, LazyText, Reader, link, reservations
from config.dashboard.service import service_cards
from config.unsellable import FIGURES, read_unsellable
from inventory.admin.stock.levels import COUNT_DAYS
from inventory.admin.stock.unfinished import unfinished
from inventory.models import LowStockAlert, StockCount, StockLevel, Transfer
from reservations.admin.holds.lists import SOON
from reservations.models import Reservation

HOURS: Final = 24


def figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The template context of the dashboard."""
    reader = Reader(request)
    head: list[Figure] = []
    cards: list[Card] = []
    due: tuple[int, timedelta | None] = (0, None)
    stock: dict[str, int] | None = None
    if reader.may_open("inventory.stocklevel"):
        stock = reader.kept("stock", lambda: _read_stock(reader.actor))
        head += _stock_figures(stock)
    if reader.may_open("reservations.reservation"):
        holds = _read_holds(reader.actor)
        due = (holds["due"], holds["lag"])
        head.append(Figure(_("Active reservations"), holds["soon"] + holds["later"], reservations(state="ACTIVE")))
        cards.append(_holds_card(holds))
        context["chart"] = _chart(reader)
    if reader.may_open("inventory.lowstockalert"):
        cards.append(_alerts_card(reader.actor))
    if stock is not None:
        cards.append(_unsellable_card(reader))
    if reader.may_open("inventory.transfer"):
        cards.append(_transfers_card(reader.actor))
    if stock is not None or reader.may_open("inventory.stockcount"):
        cards.append(_counts_card(reader, stock))
    cards += service_cards(reader, *due)
    return {**context, "head": head, "cards": cards, "unfinished": unfinished(request)}


# ---------------------------------------------------------------------------------------------------------------- stock


def _read_stock(actor: Actor) -> dict[str, int]:
    levels = StockLevel.objects.visible_to(actor)
    line = evaluated_once(Now() - Value(timedelta(days=COUNT_DAYS)))
    read = levels.aggregate(
        on_hand=Sum("on_hand"),
        reserved=Sum("reserved"),
        never=Count("pk", filter=Q(last_counted_at__isnull=True)),
        stale=Count("pk", filter=Q(last_counted_at__lt=line)),
    )
    return {name: int(value or 0) for name, value in read.items()}


def _stock_figures(stock: Mapping[str, int]) -> list[Figure]:
    level = "inventory.stocklevel"
    return [
        Figure(_("On hand"), stock["on_hand"], link(level, state="in")),
        Figure(_("Reserved"), stock["reserved"], link(level, state="held")),
        Figure(_("Available"), stock["on_hand"] - stock["reserved"], link(level, state="free")),
    ]


def _unsellable_card(reader: Reader) -> Card:
    found = reader.kept("unsellable", lambda: read_unsellable(reader.actor))
    shown = [each for each in FIGURES if reader.may_open(each.model)]
    figures = [Figure(each.label, found[each.name], link(each.model, **each.asked), each.tone) for each in shown]
    return Card(_("Frozen and discontinued"), "ac_unit", figures, _("Nothing is frozen or discontinued."))


def _counts_card(reader: Reader, stock: Mapping[str, int] | None) -> Card:
    """Open counts, and stock that is due for a count. ``stock`` is None if the user may not open its list."""
    listed: list[Figure] = []
    if reader.may_open("inventory.stockcount"):
        number = StockCount.objects.visible_to(reader.actor).filter(status=StockCount.Status.OPEN).count()
        listed.append(Figure(_("Open counts"), number, link("inventory.stockcount", status__exact="OPEN")))
    if stock is not None:
        level = "inventory.stocklevel"
        days = str(_("Not counted for %(days)d days")) % {"days": COUNT_DAYS}
        listed.append(Figure(_("Never counted"), stock["never"], link(level, counted="never")))
        listed.append(Figure(days, stock["stale"], link(level, counted="old"), "warn"))
    return Card(_("Counts"), "checklist", listed, _("Nothing is to be counted."))


def _alerts_card(actor: Actor) -> Card:
    alerts = LowStockAlert.objects.visible_to(actor).unresolved()
    found = dict(alerts.order_by().values_list("severity").annotate(number=Count("pk")))
    tones = {LowStockAlert.Severity.CRITICAL: "bad", LowStockAlert.Severity.LOW: "warn"}
    listed = [
        Figure(
            severity.label,
            found.get(severity.value, 0),
            link("inventory.lowstockalert", severity__exact=severity.value),
            tone,
        )
        for severity, tone in tones.items()
    ]
    return Card(_("Low stock"), "notifications", listed, _("Nothing is low on stock."))


def _transfers_card(actor: Actor) -> Card:
    coming = Transfer.objects.visible_to(actor).on_the_way()
    found = coming.aggregate(on_the_way=Count("pk"), overdue=Count("pk", filter=Q(expected_delivery__lt=Now())))
    return Card(
        _("Transfers"),
        "local_shipping",
        [
            Figure(_("On their way"), found["on_the_way"], link("inventory.transfer", expected="on_the_way")),
            Figure(_("Overdue"), found["overdue"], link("inventory.transfer", expected="overdue"), "bad"),
        ],
        _("Nothing is on its way."),
    )


# ---------------------------------------------------------------------------------------------------------------- holds


def _read_holds(actor: Actor) -> dict[str, Any]:
    """The numbers of active holds by time of expiry, and for how long the oldest due one has been due."""
    active = Reservation.objects.visible_to(actor).filter(status=Reservation.Status.ACTIVE)
    if actor.warehouse_codes is not None:
        active = active.holding_in(actor.warehouse_codes)
    is_due, is_soon = Q(expires_at__lte=Now()), Q(expires_at__lte=evaluated_once(Now() + Value(SOON)))
    found: dict[str, Any] = active.aggregate(
        due=Count("pk", filter=is_due),
        soon=Count("pk", filter=is_soon & ~is_due),
        later=Count("pk", filter=~is_soon),
        lag=Now() - Min("expires_at", filter=is_due),
    )
    return found


def _holds_card(holds: Mapping[str, Any]) -> Card:
    minutes = {"minutes": SOON.seconds // 60}
    return Card(
        _("Reservations"),
        "timer",
        [
            Figure(
                str(_("End within %(minutes)d minutes")) % minutes, holds["soon"], reservations(time="soon"), "warn"
            ),
            Figure(_("End later"), holds["later"], reservations(time="later")),
            Figure(_("Expired, being released"), holds["due"], reservations(time="due")),
        ],
        _("No active reservations."),
    )


# Items are limited by the same first id as reservations, and read once for all of them. Without the limit, the items of
# all times would be read; with a subquery for each reservation, its items and their levels each time.
_BY_HOUR: Final = f"""
SELECT date_bin('1 hour', event.happened, %s) AS hour, event.kind, count(*)
FROM reservations_reservation AS r
CROSS JOIN LATERAL (VALUES
    ('made', r.created_at),
    ('sold', r.consumed_at),
    ('expired', CASE WHEN r.status = 'EXPIRED' OR r.status = 'ACTIVE' AND r.expires_at <= statement_timestamp()
        THEN r.expires_at END),
    ('released', CASE WHEN r.status = 'RELEASED' THEN r.released_at END)
) AS event (kind, happened)
WHERE r.id >= %s AND r.store_id <> '{STORE_ID}' AND event.happened >= %s AND (%s::text[] IS NULL OR r.id IN (
    SELECT item.reservation_id FROM reservations_reservationitem item
    JOIN inventory_stocklevel level ON level.id = item.level_id
    JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
    WHERE item.reservation_id >= %s AND warehouse.code = ANY(%s::text[])))
GROUP BY 1, 2
"""  # noqa: S608 - constants only

_KINDS: Final[dict[str, tuple[LazyText, str, str]]] = {
    "made": (_("Made"), "created_at", ""),
    "sold": (_("Sold"), "consumed_at", Reservation.Status.CONSUMED),
    "expired": (_("Expired"), "expires_at", Reservation.Status.EXPIRED),
    "released": (_("Released"), "released_at", Reservation.Status.RELEASED),
}
"""Label, time field and resulting state of each kind of event; an empty state means any."""


def _chart(reader: Reader) -> Chart:
    """Holds by hour, over the last ``HOURS``, including the present one. Hours begin by the reader's clock."""
    this_hour = timezone.localtime().replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    begin = this_hour - timedelta(hours=HOURS - 1)
    found = reader.kept(f"hours:{begin:%H%M}", lambda: _read_hours(begin, reader.actor))
    numbers = {begin + timedelta(hours=step): found.get(begin + timedelta(hours=step), {}) for step in range(HOURS)}
    ended = [kind for kind in _KINDS if kind != "made"]
    highest = max((max(n.get("made", 0), sum(n.get(k, 0) for k in ended)) for n in numbers.values()), default=0)
    hours = []
    for hour, counted in numbers.items():
        end = hour + timedelta(hours=1)
        shown = {kind: _of_kind(kind, counted.get(kind, 0), hour, end) for kind in _KINDS}
        heights = {kind: round(100 * counted.get(kind, 0) / max(highest, 1), 2) for kind in _KINDS}
        hours.append(Hour(timezone.localtime(hour), shown.pop("made"), list(shown.values()), heights))
    totals = [(kind, _of_kind(kind, sum(n.get(kind, 0) for n in numbers.values()), begin, None)) for kind in _KINDS]
    return Chart(hours, totals, highest)


def _of_kind(kind: str, number: int, begin: datetime, end: datetime | None) -> Figure:
    label, moment, state = _KINDS[kind]
    asked = {"id__gte": _first_id(begin), f"{moment}__gte": begin.isoformat()}
    if end is not None:
        asked[f"{moment}__lt"] = end.isoformat()
    if state:
        asked["state"] = str(state)
    return Figure(label, number, reservations(**asked))


def _first_id(begin: datetime) -> UUID:
    """A lower bound of the ids of reservations that were made or ended since ``begin``. It saves an index on each time.

    Ids begin with the time of creation (UUIDv7), and no hold lives longer than the settings and one extension allow. A
    margin is added for clocks that differ.
    """
    longest = timedelta(minutes=settings.RESERVATION_MAX_TTL_MINUTES + 15)
    return first_id_at(begin - longest - timedelta(minutes=15))


def _read_hours(begin: datetime, actor: Actor) -> dict[datetime, dict[str, int]]:
    wanted = None if actor.warehouse_codes is None else list(actor.warehouse_codes)
    found: dict[datetime, dict[str, int]] = {}
    with connection.cursor() as cursor:
        first = _first_id(begin)
        cursor.execute(_BY_HOUR, [begin, first, begin, wanted, first, wanted])
        for hour, kind, number in cursor.fetchall():
            found.setdefault(hour.astimezone(UTC), {})[kind] = number
    return found
