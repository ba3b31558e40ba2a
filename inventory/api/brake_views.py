"""The routes of brakes: freeze a product, a warehouse or a store, and lift that."""

from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from audit.contract import Problem
from audit.http import MANAGING, ApiView, answered, as_utc, decode
from audit.idempotency import StoredAnswer
from audit.schema import describe
from inventory.api import contract
from inventory.api.catalogue_views import product_saved, store_saved, warehouse_saved
from inventory.services import brakes
from inventory.services.brakes import Subject
from inventory.services.master_data import Saved


class BrakeView(ApiView):
    """Freezes something, or lifts that: one route each, for each kind of thing."""

    allowed: ClassVar = {"POST": MANAGING}
    for_all_stores: ClassVar = frozenset({"POST"})

    def _freeze(self, request: Request, subject: Subject, render: Callable[[Saved], StoredAnswer]) -> HttpResponse:
        body = decode(request, contract.FreezeIn)
        until = as_utc(body.until, "/until")
        claim = self.claim(request, render)
        saved = brakes.freeze(self.asker(request), subject, reason=body.reason, until=until, claim=claim)
        return answered(saved, render)

    def _unfreeze(self, request: Request, subject: Subject, render: Callable[[Saved], StoredAnswer]) -> HttpResponse:
        body = decode(request, contract.UnfreezeIn)
        claim = self.claim(request, render)
        return answered(brakes.unfreeze(self.asker(request), subject, reason=body.reason, claim=claim), render)


class ProductFreezeView(BrakeView):
    """Stops new holds of a product."""

    @describe(
        "freezeProduct",
        "Freeze a product",
        body=contract.FreezeIn,
        answers={200: contract.ProductOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return self._freeze(request, brakes.product(product_id), product_saved)


class ProductUnfreezeView(BrakeView):
    """Allows new holds of a product again."""

    @describe(
        "unfreezeProduct",
        "Unfreeze a product",
        body=contract.UnfreezeIn,
        answers={200: contract.ProductOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return self._unfreeze(request, brakes.product(product_id), product_saved)


class WarehouseFreezeView(BrakeView):
    """Stops new holds of a warehouse."""

    @describe(
        "freezeWarehouse",
        "Freeze a warehouse",
        body=contract.FreezeIn,
        answers={200: contract.WarehouseOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        return self._freeze(request, brakes.warehouse(warehouse_id), warehouse_saved)


class WarehouseUnfreezeView(BrakeView):
    """Allows new holds of a warehouse again."""

    @describe(
        "unfreezeWarehouse",
        "Unfreeze a warehouse",
        body=contract.UnfreezeIn,
        answers={200: contract.WarehouseOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        return self._unfreeze(request, brakes.warehouse(warehouse_id), warehouse_saved)


class StoreFreezeView(BrakeView):
    """Stops new holds of a store."""

    @describe(
        "freezeStore",
        "Freeze a store",
        body=contract.FreezeIn,
        answers={200: contract.StoreOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, store_id: str) -> HttpResponse:
        return self._freeze(request, brakes.store(store_id), store_saved)


class StoreUnfreezeView(BrakeView):
    """Allows new holds of a store again."""

    @describe(
        "unfreezeStore",
        "Unfreeze a store",
        body=contract.UnfreezeIn,
        answers={200: contract.StoreOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, store_id: str) -> HttpResponse:
        return self._unfreeze(request, brakes.store(store_id), store_saved)
