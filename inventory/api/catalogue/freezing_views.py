"""The routes of freezing: freeze and unfreeze a product, a warehouse or a store."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from audit.api.contract import Answer, Body
from audit.api.http import ApiView, answered, decode
from audit.api.schema import describe
from audit.idempotency import StoredAnswer
from audit.roles import Capability
from inventory.api.catalogue import contract as catalogue_contract
from inventory.api.catalogue.views import product_saved, store_saved, warehouse_saved
from inventory.services.catalogue import freezing
from inventory.services.catalogue.freezing import Subject
from inventory.services.catalogue.master_data import Saved

F = TypeVar("F", bound=Callable[..., Any])


class FreezingView(ApiView):
    """The base of the routes that freeze or unfreeze: two routes for each kind of subject."""

    allowed: ClassVar = {"POST": Capability.MANAGE}
    for_all_stores: ClassVar = frozenset({"POST"})

    def _freeze(self, request: Request, subject: Subject, render: Callable[[Saved], StoredAnswer]) -> HttpResponse:
        body = decode(request, catalogue_contract.FreezeIn)
        until = body.until
        claim = self.claim(request, render)
        saved = freezing.freeze(self.actor(request), subject, reason=body.reason, until=until, claim=claim)
        return answered(saved, render)

    def _unfreeze(self, request: Request, subject: Subject, render: Callable[[Saved], StoredAnswer]) -> HttpResponse:
        body = decode(request, catalogue_contract.UnfreezeIn)
        claim = self.claim(request, render)
        return answered(freezing.unfreeze(self.actor(request), subject, reason=body.reason, claim=claim), render)


def _command(verb: str, noun: str, body: type[Body], answer: type[Answer]) -> Callable[[F], F]:
    return describe(
        f"{verb}{noun.title()}",
        f"{verb.title()} a {noun}",
        body=body,
        answers={200: answer},
        idempotent=True,
    )


class ProductFreezeView(FreezingView):
    """Refuses new reservations of a product. Existing ones are not affected."""

    @_command("freeze", "product", catalogue_contract.FreezeIn, catalogue_contract.ProductOut)
    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return self._freeze(request, freezing.product(product_id), product_saved)


class ProductUnfreezeView(FreezingView):
    """Allows new reservations of a product again."""

    @_command("unfreeze", "product", catalogue_contract.UnfreezeIn, catalogue_contract.ProductOut)
    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return self._unfreeze(request, freezing.product(product_id), product_saved)


class WarehouseFreezeView(FreezingView):
    """Refuses new reservations from a warehouse. Existing ones are not affected."""

    @_command("freeze", "warehouse", catalogue_contract.FreezeIn, catalogue_contract.WarehouseOut)
    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        return self._freeze(request, freezing.warehouse(warehouse_id), warehouse_saved)


class WarehouseUnfreezeView(FreezingView):
    """Allows new reservations from a warehouse again."""

    @_command("unfreeze", "warehouse", catalogue_contract.UnfreezeIn, catalogue_contract.WarehouseOut)
    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        return self._unfreeze(request, freezing.warehouse(warehouse_id), warehouse_saved)


class StoreFreezeView(FreezingView):
    """Refuses new reservations in a store. Existing ones are not affected."""

    @_command("freeze", "store", catalogue_contract.FreezeIn, catalogue_contract.StoreOut)
    def post(self, request: Request, store_id: str) -> HttpResponse:
        return self._freeze(request, freezing.store(store_id), store_saved)


class StoreUnfreezeView(FreezingView):
    """Allows new reservations in a store again."""

    @_command("unfreeze", "store", catalogue_contract.UnfreezeIn, catalogue_contract.StoreOut)
    def post(self, request: Request, store_id: str) -> HttpResponse:
        return self._unfreeze(request, freezing.store(store_id), store_saved)
