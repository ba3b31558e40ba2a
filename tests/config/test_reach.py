"""Services refuse what lies outside an actor's reach, whatever page or view calls them.

Each public service with an actor parameter is in ``CALLS``, with a call that touches the warehouse ``there``, or in
``PARTS``, with the service that calls it. A service in neither fails a test.
"""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import RequestFactory

import audit.clients
import config.urls  # noqa: F401 - registers the pages whose reach is asked for below
import inventory.services
import reservations.services
from audit.actors import Actor
from audit.console.base import Reach, actor_of
from audit.errors import NotFound, PermissionDenied
from audit.webhooks import managing
from inventory.errors import UnknownWarehouse
from inventory.models import StockLevel
from inventory.services.catalogue import freezing
from inventory.services.transfers import commands as transfers
from reservations.errors import ReservationNotFound
from reservations.services.holds import resolution
from reservations.services.holds.resolution import ConsumeRequest
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.config.reach_calls import CALLS, FOR_ALL_WAREHOUSES, PARTS
from tests.config.reach_scenes import BEYOND, HERE, INSIDE, OUTSIDE, THERE, Scene
from tests.factories import ACTOR
from tests.rolling_back import check_each
from tests.staff import make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


def _modules() -> Iterator[ModuleType]:
    yield audit.clients
    yield managing
    for package in (inventory.services, reservations.services):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def _has_actor(hint: Any) -> bool:
    """Whether a parameter of this type is, or contains, an actor."""
    if parts := typing.get_args(hint):
        return any(_has_actor(part) for part in parts)
    if not isinstance(hint, type) or issubclass(hint, Model):
        return False
    return hint is Actor or typing.get_type_hints(hint).get("actor") is Actor


def _services() -> set[str]:
    """The public functions with an actor parameter, as ``module.function``."""
    found = set()
    for module in _modules():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                hints = typing.get_type_hints(function)
                if any(_has_actor(hint) for parameter, hint in hints.items() if parameter != "return"):
                    found.add(f"{module.__name__.rpartition('.')[2]}.{name}")
    return found


def test_every_service_that_is_given_an_actor_is_called_here() -> None:
    assert _services() == CALLS.keys() | PARTS.keys()
    assert not CALLS.keys() & PARTS.keys()
    assert set(PARTS.values()) | FOR_ALL_WAREHOUSES <= CALLS.keys()


# ------------------------------------------------------------------------------------------------------- what they do


def _everything() -> dict[str, list[str]]:
    """All rows of all tables of the service, as text. One statement reads them, because many checks do so."""
    tables = [
        model._meta.db_table
        for label in ("audit", "inventory", "reservations")
        for model in apps.get_app_config(label).get_models()
    ]
    rows = (f"SELECT '{table}', array_agg(row::text ORDER BY row::text) FROM {table} row" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(rows))
        return dict(cursor.fetchall())


def test_what_is_out_of_reach_is_refused_and_nothing_changes(scene: Scene) -> None:
    before = _everything()

    def check(name: str, scene: Scene) -> None:
        expected = PermissionDenied if name in FOR_ALL_WAREHOUSES else (NotFound, UnknownWarehouse, ReservationNotFound)
        with pytest.raises(expected):
            CALLS[name](scene, OUTSIDE)
        assert _everything() == before

    check_each(CALLS, scene, check)
    assert_books_balance()


def test_the_same_call_works_within_reach(scene: Scene) -> None:
    def check(name: str, scene: Scene) -> None:
        CALLS[name](scene, ACTOR if name in FOR_ALL_WAREHOUSES else INSIDE)
        assert_books_balance()

    check_each(CALLS, scene, check)


def test_changes_for_all_warehouses_are_refused_to_a_limited_actor(scene: Scene) -> None:
    def check(name: str, scene: Scene) -> None:
        with pytest.raises(PermissionDenied):
            CALLS[name](scene, INSIDE)

    check_each(sorted(FOR_ALL_WAREHOUSES), scene, check)


@pytest.mark.parametrize("kind", ["product", "store"])
def test_products_and_stores_are_frozen_for_all_warehouses(kind: str, scene: Scene) -> None:
    subject = freezing.product(scene.product.pk) if kind == "product" else freezing.store("main")
    for limits in ({"warehouse_codes": (HERE, THERE)}, {"store_codes": ("main",)}):
        with pytest.raises(PermissionDenied):
            freezing.freeze(msgspec.structs.replace(ACTOR, **limits), subject, reason="recall")
    freezing.freeze(ACTOR, subject, reason="recall")


def test_a_late_payment_is_served_for_an_actor_of_all_warehouses(scene: Scene) -> None:
    """Its units may come from any of the store's warehouses."""
    sell = ConsumeRequest(INSIDE, "order-1", Selector(scene.hold), reacquire=True)
    with pytest.raises(PermissionDenied):
        resolution.consume_hold(sell)


def test_a_change_of_a_draft_may_not_lead_out_of_reach(scene: Scene) -> None:
    with pytest.raises(UnknownWarehouse):
        transfers.change_draft(scene.draft, scene.moved(INSIDE, BEYOND, HERE))


@pytest.mark.parametrize("name", ["receive_transfer", "cancel_transfer"])
def test_each_end_of_a_transfer_is_touched_by_staff_of_its_warehouse(name: str, scene: Scene) -> None:
    """Staff of one end receive what arrives there, and cancel what left there."""
    if name == "receive_transfer":
        transfers.receive_transfer(transfers.ReceiveRequest(OUTSIDE, scene.outgoing))
    else:
        transfers.cancel_transfer(transfers.CancelTransferRequest(OUTSIDE, scene.incoming))
    assert_books_balance()


# --------------------------------------------------------------------------------------------------------- the console


def _reaches() -> list[Reach]:
    """All lists of the console, and the lists on their pages."""
    pages: list[Any] = list(admin.site._registry.values())
    return [*pages, *(kind(page.model, admin.site) for page in pages for kind in page.inlines)]


@pytest.mark.parametrize("page", _reaches(), ids=lambda page: type(page).__name__)
def test_every_list_declares_the_warehouses_of_its_rows(page: Any) -> None:
    assert isinstance(page, Reach)
    said = [
        bool(page.warehouse_paths),
        page.belongs_to_no_warehouse,
        page.all_warehouses_only,
        type(page).within is not Reach.within,
    ]
    assert sum(said) == 1


def test_a_list_without_warehouse_paths_shows_nothing_to_limited_staff(scene: Scene) -> None:
    levels = StockLevel.objects.all()
    assert not Reach().within(levels, INSIDE).exists()


def test_staff_act_within_the_warehouses_of_their_account() -> None:
    request = RequestFactory().post("/")
    request.META["inventory.request_id"] = "request-1"
    request.user = make_staff("manager", HERE, name="ada")
    actor = actor_of(request)
    assert (actor.name, actor.warehouse_codes, actor.store_codes) == ("ada", (HERE,), ())
