"""Every page of the console: the lists with each filter, each order, each page, searches that find something and
nothing, and exports; and each page and dialog of a row."""

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.templatetags.admin_list import result_headers
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import NoReverseMatch, reverse

from audit.models import AuditEntry, StaffAccess
from benchmarks.service import PRODUCT
from benchmarks.size.seed import RARE_WAREHOUSE
from benchmarks.size.timing import Timed, timed
from inventory.models import Warehouse
from reservations.models import Reservation

_MOST_CHOICES: Final = 40
_EXPORTED: Final = 6
"""The number of filters that a list is exported with."""
_LEFT_OUT: Final = ("/add/", "/delete/", "/export.", "/issue-token/", "/receive/<path", "/place/", "/<id>/")
"""Parts of the addresses that are skipped: they write, need more than a row's key, or are walked separately."""


class Walker:
    """Walks the lists as one person. ``lists`` are the models to walk, such as ``audit.auditentry``, and
    ``pages`` for the pages outside the lists; empty for all."""

    def __init__(self, who: str, warehouses: tuple[str, ...] | None, lists: tuple[str, ...] = ()) -> None:
        self.who = who
        self.lists = lists
        self.client = Client(headers={"Host": "127.0.0.1"})
        user, _ = get_user_model().objects.get_or_create(
            username=f"walker-{who}", defaults={"is_staff": True, "is_superuser": True}
        )
        StaffAccess.objects.update_or_create(
            user=user,
            defaults={"all_warehouses": warehouses is None, "warehouse_codes": list(warehouses or ())},
        )
        self.client.force_login(user)
        self.seen: set[str] = set()

    def walk(self) -> Iterator[Timed]:
        """Time each page."""
        yield from self._ask("/admin/")  # First: it registers the lists.
        if not self.lists or "pages" in self.lists:
            for path in _beside_lists():
                yield from self._ask(path)
        for model, model_admin in admin.site._registry.items():
            label = model._meta.label_lower
            if self.lists and label not in self.lists:
                continue
            try:
                address = reverse(f"admin:{label.replace('.', '_')}_changelist")
            except NoReverseMatch:
                continue
            yield from self._list(address, model_admin)

    def _ask(self, path: str) -> Iterator[Timed]:
        if path in self.seen:
            return
        self.seen.add(path)
        found, self.answer = timed(self.who, path, lambda: self.client.get(path))
        yield found

    def _list(self, address: str, model_admin: Any) -> Iterator[Timed]:
        yield from self._ask(address)
        changelist = (getattr(self.answer, "context_data", None) or {}).get("cl")
        if changelist is None:
            return
        first = list(changelist.result_list)[:1]
        offered = (self.answer.context_data or {}).get("exports") or ()
        chosen = [*self._filters(changelist), *_orders(changelist), *_zones(address)]
        for query in chosen:
            yield from self._ask(f"{address}{query}")
            if (filtered := (getattr(self.answer, "context_data", None) or {}).get("cl")) is not None:
                for page in {2, filtered.paginator.num_pages} - {1}:
                    if page <= filtered.paginator.num_pages:
                        yield from self._ask(f"{address}{filtered.get_query_string({'p': page})}")
        for text in searches() if model_admin.get_search_fields(None) else ():
            yield from self._ask(f"{address}?q={text}")
        exports = [
            f"{export['url'].partition('?')[0]}{query}" for export in offered for query in ("", *chosen[:_EXPORTED])
        ]
        for path in (*exports, *_pages(address, model_admin, [row.pk for row in first])):
            yield from self._ask(path)

    def _filters(self, changelist: Any) -> Iterator[str]:
        """The choices of each filter."""
        for spec in changelist.filter_specs:
            choices = [choice for choice in spec.choices(changelist) if choice.get("query_string")]
            for choice in choices[:_MOST_CHOICES]:
                yield choice["query_string"]
        yield "?"


def _beside_lists() -> Iterator[str]:
    """Pages outside the lists: exports, the session, the global search, places in two warehouses, autocompletion."""
    yield from ("/admin/exports/", "/admin/session/")
    yield from (f"/admin/find/?q={text}" for text in searches())
    for warehouse, place in product(("wh-001", f"wh-{RARE_WAREHOUSE:03}"), ("A-1-1", "B-22-4", "nowhere-1")):
        for page in ("place/", "place/put-away/"):
            yield f"/admin/inventory/stocklevel/{page}?warehouse={warehouse}&place={place}"
    for text in ("SKU-47", "sku-4711"):
        asked = f"app_label=inventory&model_name=product&field_name=parent&term={text}"
        yield f"/admin/autocomplete/?{asked}"


def _pages(address: str, model_admin: Any, keys: list[Any]) -> Iterator[str]:
    """The pages and dialogs of a list, and those of these rows."""
    for pattern in model_admin.get_urls():
        route = str(pattern.pattern).replace("<uuid:", "<path:")
        page, is_of_row, rest = route.partition("<path:object_id>")
        if (
            not pattern.name
            or route.endswith(("/scans/", "/changes/"))
            or any(part in f"/{route}" for part in _LEFT_OUT)
        ):
            continue
        yield from (f"{address}{page}{key}{rest}" for key in keys) if is_of_row else (f"{address}{page}",)


def _zones(address: str) -> Iterator[str]:
    """Zones of two warehouses, for the list of stock."""
    for warehouse in Warehouse.objects.order_by("code")[:2] if address.endswith("/stocklevel/") else ():
        for zone in ("A", "B", "C"):
            yield f"?warehouse__id__exact={warehouse.pk}&zone={zone}"


def _orders(changelist: Any) -> Iterator[str]:
    """Each sortable column, in both directions."""
    for header in result_headers(changelist):
        if header.get("sortable"):
            index = str(header["url_primary"]).rpartition("o=")[2].partition(".")[0].lstrip("-")
            yield f"?o={index}"
            yield f"?o=-{index}"


def searches() -> Iterator[str]:
    """Texts that are searched for in each list: of a few rows, of many, of none, and ids."""
    yield from ("nothing-has-this", "SKU-4711", "sku-47", "rain jacket", "rare", "shop", "clerk-3", "wh-008")
    yield from ("order-77", "cart-77", "customer-77", "request-77", "order-none", "RC-1500", "InventoryFrozenEvent")
    yield "00000000-0000-7000-8000-0000000000ff"
    yield f"{PRODUCT}{4711:012x}"
    reservation = Reservation.objects.order_by("-pk").values_list("pk", flat=True).first()
    yield from (f"res-{reservation}", f"{reservation}", f"…{str(reservation)[-8:]}")
    yield str(AuditEntry.objects.order_by("pk").values_list("pk", flat=True).first())
