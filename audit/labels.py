"""Labels of audit entries, clients and tokens, for staff to read and translators to translate."""

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

FIELDS: Final[dict[str, Any]] = {
    "action": _("action"),
    "actor": _("by"),
    "aggregate_type": _("kind of key"),
    "answer": _("answer"),
    "at": _("when"),
    "body": _("answer"),
    "bytes": _("bytes of the body"),
    "changes": _("changes"),
    "client": _("client"),
    "client_id": _("client"),
    "created_at": _("created"),
    "cursor": _("place in the log"),
    "digest": _("digest"),
    "event_id": _("event"),
    "expires_at": _("ends"),
    "failing_since": _("failing since"),
    "fifo": _("in order"),
    "fingerprint": _("fingerprint"),
    "id": _("id"),
    "is_delivered": _("delivered"),
    "key": _("key"),
    "last_used_at": _("last used"),
    "milliseconds": _("milliseconds"),
    "missed_at": _("events missed"),
    "name": _("name"),
    "number": _("attempt"),
    "payload": _("payload"),
    "position": _("position"),
    "prefix": _("prefix"),
    "request": _("request"),
    "request_id": _("request"),
    "revoked_at": _("revoked"),
    "role": _("role"),
    "source": _("source"),
    "status": _("status"),
    "store": _("store"),
    "store_codes": _("stores"),
    "subject_id": _("about"),
    "subscription_id": _("webhook"),
    "type": _("type"),
    "url": _("address"),
    "user": _("user"),
    "warehouse_codes": _("warehouses"),
}
"""Labels of fields by name, in all models of this package."""

MODELS: Final[dict[str, tuple[Any, Any]]] = {
    "apiclient": (_("API client"), _("API clients")),
    "apitoken": (_("API token"), _("API tokens")),
    "staffaccess": (_("staff access"), _("staff access")),
    "auditentry": (_("audit entry"), _("audit entries")),
    "idempotencykey": (_("idempotency key"), _("idempotency keys")),
    "outboxevent": (_("event"), _("events")),
    "webhooksubscription": (_("webhook"), _("webhooks")),
    "webhookattempt": (_("webhook attempt"), _("webhook attempts")),
}
"""Labels of models by name: singular and plural."""
