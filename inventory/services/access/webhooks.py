"""Add and change webhooks, after checking that their stores and products exist (the rest is in
``audit.webhooks.managing``)."""

from typing import Any
from uuid import UUID

from audit.actors import Actor
from audit.errors import Fault
from audit.feed import Cursor
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.webhooks import managing
from audit.webhooks.managing import Changed
from inventory.errors import UnknownProduct, UnknownStore
from inventory.models import Product, Store


def create_webhook(
    actor: Actor, fields: dict[str, Any], *, start: Cursor | None = None, claim: Claim | None = None
) -> Changed | StoredAnswer:
    """Add a webhook, as ``managing.create``. A client that is limited to some stores gets one of these stores, unless
    it names fewer. Raises UnknownStore and UnknownProduct besides."""
    fields = {**fields, "store_codes": fields.get("store_codes") or sorted(actor.store_codes)}
    _require_known(actor, fields)
    return managing.create(actor, fields, start=start, claim=claim)


def change_webhook(
    actor: Actor,
    webhook_id: UUID,
    fields: dict[str, Any],
    *,
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> Changed | StoredAnswer:
    """Replace fields of a webhook, as ``managing.change``. Raises UnknownStore and UnknownProduct besides."""
    _require_known(actor, fields)
    return managing.change(actor, webhook_id, fields, claim=claim, precondition=precondition)


def _require_known(actor: Actor, fields: dict[str, Any]) -> None:
    codes, ids = fields.get("store_codes", ()), fields.get("product_ids", ())
    stores = set(Store.objects.visible_to(actor).filter(code__in=codes).values_list("code", flat=True))
    if unknown := [code for code in codes if code not in stores]:
        faults = [Fault("/storeIds", UnknownStore.code, f"There is no store {code}.") for code in unknown[:20]]
        raise UnknownStore(f"There is no store {unknown[0]}.", faults)
    products = set(Product.objects.filter(pk__in=ids).values_list("pk", flat=True))
    if missing := [str(id_) for id_ in ids if id_ not in products]:
        faults = [Fault("/productIds", UnknownProduct.code, f"There is no product {id_}.") for id_ in missing[:20]]
        raise UnknownProduct(f"There is no product {missing[0]}.", faults)
