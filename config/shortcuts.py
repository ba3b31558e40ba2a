"""Keyboard shortcuts of the console, and the buttons that phones show at the bottom of every page."""

from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_LISTS: Final = (
    ("d", _("Dashboard"), "index", ""),
    ("s", _("Stock"), "inventory_stocklevel_changelist", "inventory.view_stocklevel"),
    ("r", _("Receive a delivery"), "inventory_movement_receive_delivery", "inventory.receive_stock"),
    ("t", _("Transfers"), "inventory_transfer_changelist", "inventory.view_transfer"),
    ("c", _("Counts"), "inventory_stockcount_changelist", "inventory.view_stockcount"),
    ("a", _("Alerts"), "inventory_lowstockalert_changelist", "inventory.view_lowstockalert"),
    ("p", _("Products"), "inventory_product_changelist", "inventory.view_product"),
    ("h", _("Reservations"), "reservations_reservation_changelist", "reservations.view_reservation"),
)
"""The second key after ``g``, the words, the name of the address and the permission that it needs."""
_QUICK: Final = (
    (_("Receive"), "barcode_scanner", "inventory_movement_receive_delivery", "inventory.receive_stock"),
    (_("Move"), "local_shipping", "inventory_transfer_new_transfer", "inventory.transfer_stock"),
    (_("Count"), "checklist", "inventory_stockcount_changelist", "inventory.view_stockcount"),
    (_("Find"), "search", "inventory_stocklevel_changelist", "inventory.view_stocklevel"),
)


def shortcuts(request: HttpRequest) -> list[dict[str, Any]]:
    """The keyboard shortcuts of this user, in the order of the list that ``?`` shows."""
    lists = [
        _shortcut(f"g {key}", title, link=reverse(f"admin:{name}"))
        for key, title, name, permission in _LISTS
        if not permission or request.user.has_perm(permission)
    ]
    return [
        _shortcut("?", _("Show this list"), does="help"),
        _shortcut("/", _("Search"), does="search"),
        _shortcut("Ctrl+K", _("Search, also while typing"), is_elsewhere=True),
        _shortcut("f", _("Filters of a list"), does="filters"),
        *lists,
    ]


def _shortcut(keys: str, title: Promise, **options: Any) -> dict[str, Any]:
    return {"keys": keys, "shown": keys.split(), "title": title, **options}


def quick(request: HttpRequest) -> list[dict[str, Any]]:
    """The buttons of a phone that this user may use."""
    return [
        {"title": title, "icon": icon, "link": reverse(f"admin:{name}"), "is_search": icon == "search"}
        for title, icon, name, permission in _QUICK
        if request.user.has_perm(permission)
    ]
