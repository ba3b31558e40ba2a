"""Translatable labels of the models and fields of this package, for the console."""

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

FIELDS: Final[dict[str, Any]] = {
    "cart_id": _("cart"),
    "cause_id": _("cause"),
    "cause_type": _("found by"),
    "changed_at": _("changed"),
    "client_id": _("client"),
    "code": _("code of the reason"),
    "consumed_at": _("sold"),
    "created_at": _("created"),
    "created_by": _("created by"),
    "customer_id": _("customer"),
    "digest": _("digest"),
    "event_id": _("event id"),
    "expires_at": _("ends"),
    "extended_at": _("extended"),
    "held_until": _("reserved until"),
    "id": _("id"),
    "kind": _("type"),
    "incident": _("incident"),
    "level": _("level"),
    "message": _("message"),
    "missing_units": _("units missing"),
    "noted_at": _("noted"),
    "order_id": _("order"),
    "outcome": _("outcome"),
    "place": _("from"),
    "pinned": _("warehouse chosen by the shop"),
    "quantity": _("quantity"),
    "reacquired_from": _("reserved again after"),
    "reason": _("reason"),
    "received_at": _("received"),
    "released_at": _("released"),
    "request_id": _("request"),
    "reservation": _("reservation"),
    "resolution": _("resolution"),
    "resolved_at": _("resolved"),
    "resolved_by": _("resolved by"),
    "result": _("outcome"),
    "settled_at": _("settled"),
    "settled_by": _("settled by"),
    "source": _("source"),
    "status": _("status"),
    "store": _("store"),
    "stores": _("stores"),
    "subject": _("order or product"),
    "type": _("type"),
    "unit_price": _("price"),
}
"""The labels of fields, by name, for all models of this package."""

MODELS: Final[dict[str, tuple[Any, Any]]] = {
    "reservation": (_("reservation"), _("reservations")),
    "reservationitem": (_("item"), _("items")),
    "shortageincident": (_("incident"), _("incidents")),
    "deadletter": (_("dead letter"), _("dead letters")),
    "receivedevent": (_("received event"), _("received events")),
    "ordernote": (_("note of an order"), _("notes of orders")),
    "brokenhold": (_("cancelled reservation"), _("cancelled reservations")),
}
"""The labels of models, by name: singular and plural."""
