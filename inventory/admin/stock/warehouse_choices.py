"""The warehouses that a form offers to choose from."""

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console.base import actor_of
from inventory.models import Warehouse
from inventory.models.catalogue_querysets import WarehouseQuerySet


def warehouse_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """The active warehouses in the user's reach, by code. One of them needs no choice."""
    return _choices(Warehouse.objects.visible_to(actor_of(request)))


def destination_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """The active warehouses that the user may send to, by code."""
    return _choices(Warehouse.objects.destinations_for(actor_of(request)))


def _choices(warehouses: WarehouseQuerySet) -> list[tuple[str, str]]:
    rows = warehouses.filter(is_active=True).order_by("code")
    known = [(row.code, f"{row.code} – {row.name}") for row in rows]
    return known if len(known) == 1 else [("", str(_("Choose a warehouse"))), *known]
