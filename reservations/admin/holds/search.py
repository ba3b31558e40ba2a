"""The search for reservations from any page: by order, cart and customer, by short id, and of a product."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.console.base import actor_of
from audit.console.search import MOST_RESULTS, Found, Result, ResultAction, Subject, allowed_actions, first_of
from audit.display import NOTHING, shown_time
from audit.identifiers import parse_copied_id
from audit.whole_numbers import grouped
from inventory.services.catalogue.codes import products_by_code
from reservations.admin.holds.dialogs import ConsumeDialog, ExtendDialog, HoldsDialog, ReleaseDialog
from reservations.admin.holds.lists import open_verbs, state_of
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.searching import ID_FIELDS, NEWEST, IdField, ids_beginning_so, ids_ending_so

Status = Reservation.Status
_MODEL: Final = "reservations.reservation"
_SHORT_ID: Final = re.compile(r"(?:…|\.{3}|#)?([0-9a-f]{6,12})", re.IGNORECASE)
_MOST_IDS: Final = 25
"""The most ids that begin with a text and are looked at: those of other warehouses are left out."""
_WORDS: Final = {
    "order_id": gettext_lazy("Order %(id)s"),
    "cart_id": gettext_lazy("Cart %(id)s"),
    "customer_id": gettext_lazy("Customer %(id)s"),
}
_LABELS: Final = {
    "order_id": gettext_lazy("Orders"),
    "cart_id": gettext_lazy("Carts"),
    "customer_id": gettext_lazy("Customers"),
}


def _visible(request: HttpRequest) -> QuerySet[Reservation]:
    rows: QuerySet[Reservation] = admin.site._registry[Reservation].get_queryset(request)
    return rows


def _of(field: IdField) -> Subject:
    """Search for what begins with the text in one of the shops' ids."""

    def find(request: HttpRequest, text: str) -> Found:
        found = ids_beginning_so(field, text, at_most=_MOST_IDS)
        results = list(_with_ids(request, field, found.ids))
        is_cut = found.has_more or len(results) > MOST_RESULTS
        return first_of(results, _("There are more. Type more to narrow the search.") if is_cut else "")

    return Subject(_LABELS[field], _MODEL, find)


def _with_ids(request: HttpRequest, field: IdField, ids: tuple[str, ...]) -> Iterator[Result]:
    """A result for each of these ids that a reservation in reach has, up to one more than are shown."""
    shown = 0
    for id_ in ids:
        if shown > MOST_RESULTS:
            return
        newest = list(_visible(request).filter(Q((field, id_))).order_by("-id")[:2])
        if not newest:
            continue
        shown += 1
        title = str(_WORDS[field]) % {"id": id_}
        if len(newest) == 1:
            yield _result(request, newest[0], title)
        else:
            page = reverse("admin:reservations_reservation_changelist")
            yield Result(title, _("Several reservations"), f"{page}?{urlencode({'q': id_})}")


def _find_reservations(request: HttpRequest, text: str) -> Found:
    """By id, by the end of an id, and the active ones of a product whose code this is."""
    if named := parse_copied_id(text):
        return first_of(_result(request, row) for row in _visible(request).filter(pk=named))
    found: list[Reservation] = []
    hint = ""
    if short := _SHORT_ID.fullmatch(text):
        ids = ids_ending_so(short[1], at_most=MOST_RESULTS)
        found += _visible(request).filter(pk__in=ids).order_by("-id")
        words = _("Short ids are found among the newest %(count)s reservations and the active ones.")
        hint = "" if found else words % {"count": grouped(NEWEST)}
    products = products_by_code(text)[:MOST_RESULTS]
    if products:
        found += _active_of(request, [product.pk for product in products])
        hint = ""
    return first_of((_result(request, row) for row in found), hint)


def _active_of(request: HttpRequest, product_ids: Sequence[UUID]) -> QuerySet[Reservation]:
    """The active reservations of products that end first."""
    items = ReservationItem.objects.filter(held_until__gt=timezone.now(), level__product__in=product_ids)
    if (codes := actor_of(request).warehouse_codes) is not None:
        items = items.filter(level__warehouse__code__in=codes)
    ids = items.order_by("held_until").values_list("reservation", flat=True)[:MOST_RESULTS]
    return _visible(request).filter(pk__in=list(ids)).order_by("expires_at")


def _result(request: HttpRequest, reservation: Reservation, title: str = "") -> Result:
    short = f"…{str(reservation.pk)[-8:]}"
    ids = [str(_WORDS[field]) % {"id": id_} for field in ID_FIELDS if (id_ := getattr(reservation, field))]
    heading = title or _("Reservation %(id)s") % {"id": short}
    note = [*([short] if title else []), *(part for part in ids if part != title), _state_words(reservation)]
    return Result(heading, " · ".join(note), _page("change", reservation), _actions(request, reservation))


def _state_words(reservation: Reservation) -> str:
    ends: dict[str, tuple[str, datetime | None]] = {
        Status.ACTIVE: (_("active until %(time)s"), reservation.expires_at),
        Status.CONSUMED: (_("sold %(time)s"), reservation.consumed_at),
        Status.RELEASED: (_("released %(time)s"), reservation.released_at),
        Status.EXPIRED: (_("expired %(time)s"), reservation.expires_at),
    }
    words, moment = ends[state_of(reservation)]
    return words % {"time": shown_time(moment) if moment else NOTHING}


def _page(name: str, reservation: Reservation) -> str:
    return reverse(f"admin:reservations_reservation_{name}", args=[reservation.pk])


def _actions(request: HttpRequest, reservation: Reservation) -> tuple[ResultAction, ...]:
    """The dialogs that the list would offer for this row."""
    verbs = open_verbs(reservation, is_limited=not actor_of(request).sees_all_warehouses)
    dialogs: dict[str, type[HoldsDialog]]
    dialogs = {"release": ReleaseDialog, "extend": ExtendDialog, "consume": ConsumeDialog}
    labels = {"release": _("Release"), "extend": _("Extend"), "consume": _("Sell for an order")}
    offered = [
        (dialog.permission, labels[verb], _page(verb, reservation)) for verb, dialog in dialogs.items() if verb in verbs
    ]
    return allowed_actions(request, *offered, are_dialogs=True)


ORDERS, CARTS, CUSTOMERS = map(_of, ID_FIELDS)
RESERVATIONS: Final = Subject(gettext_lazy("Reservations"), _MODEL, _find_reservations)
