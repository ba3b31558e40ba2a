"""The roles of API clients and the groups of staff.

To add a role, add an entry here: a member of ``Role``, or a ``StaffGroup``. Views of the API name the capability that
each of their methods requires, pages of the console name a permission; neither refers to roles.
"""

import enum
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

# --- API clients -----------------------------------------------------------------------------------------------------


class Capability(enum.Enum):
    """What a method of the API requires of its caller. The value describes what it permits."""

    READ = "check availability, read stock, movements, transfers, alerts, reservations and the catalogue"
    READ_COUNTS = "read counts and shortage incidents"
    READ_RECONCILIATION = "read the last reconciliation"
    READ_WEBHOOKS = "read webhooks and the log of their attempts"
    READ_HEALTH = "read the health of the service in detail"
    SELL = "plan (dry run), hold, extend, release and consume"
    KEEP_STOCK = "adjust, transfer and count stock, answer alerts, resolve incidents"
    MANAGE = "keep the catalogue and the settings of levels, freeze and unfreeze, force adjustments"
    MANAGE_WEBHOOKS = "add, change, pause and delete webhooks, replace their secrets, send events again"


class Role(models.TextChoices):
    """The role of an API client, with its capabilities (docs/explanation/rules.md, rule 19)."""

    CHECKOUT = (
        "checkout",
        {Capability.READ, Capability.SELL},
        _("Checkout: checks, holds, releases and sells stock"),
    )
    WAREHOUSE = (
        "warehouse",
        {Capability.READ, Capability.READ_COUNTS, Capability.KEEP_STOCK},
        _("Warehouse: adjusts, transfers and counts stock"),
    )
    MANAGER = "manager", set(Capability), _("Manager: everything")
    AUDITOR = (
        "auditor",
        {
            Capability.READ,
            Capability.READ_COUNTS,
            Capability.READ_RECONCILIATION,
            Capability.READ_WEBHOOKS,
            Capability.READ_HEALTH,
        },
        _("Auditor: reads everything, changes nothing"),
    )

    capabilities: frozenset[Capability]

    def __new__(cls, value: str, capabilities: Iterable[Capability]) -> "Role":
        role = str.__new__(cls, value)
        role._value_ = value
        role.capabilities = frozenset(capabilities)
        return role


def role_choices() -> list[tuple[str, Any]]:
    """The roles as choices of a model field. A function, so that a new role needs no migration."""
    return list(Role.choices)


@cache
def roles_with(capability: Capability) -> frozenset[Role]:
    """The roles that have a capability. Members compare equal to their names, as clients store them."""
    return frozenset(role for role in Role if capability in role.capabilities)


# --- staff -----------------------------------------------------------------------------------------------------------


class StaffGroup(NamedTuple):
    """A group of staff: its name, its hint in the form of an account, and exactly its permissions."""

    name: str
    hint: Any
    permissions: frozenset[str]


def _permissions(app: str, verbs: str, models_: str) -> frozenset[str]:
    """Names of permissions: each verb combined with each model, both separated by blanks."""
    return frozenset(f"{app}.{verb}_{model}" for verb in verbs.split() for model in models_.split())


_READS_STOCK: Final = (
    _permissions("inventory", "view", "product warehouse store storewarehouse stocklevel movement stockdocument")
    | _permissions("inventory", "view", "transfer transferline stockcount stockcountline lowstockalert")
    | _permissions("reservations", "view", "reservation reservationitem shortageincident brokenhold")
)
_VIEWER: Final = _READS_STOCK | {"inventory.add_alertsubscription"}
_WAREHOUSE: Final = (
    _VIEWER
    | _permissions("inventory", "receive adjust ship transfer count reverse", "stock")
    | {"inventory.settle_alerts"}
)
_READS_BOOKS: Final = _permissions("inventory", "view", "adjustmentreason reconciliationrun reconciliationfinding") | {
    "inventory.export_stock",
    "audit.view_auditentry",
}
_MANAGER: Final = (
    _WAREHOUSE
    | _READS_BOOKS
    | _permissions("inventory", "add change", "product warehouse store adjustmentreason")
    | _permissions("inventory", "add change delete", "storewarehouse")
    | {"inventory.change_stocklevel", "inventory.post_count", "inventory.freeze_stock"}
    | _permissions("reservations", "release extend consume", "reservation")
    | {"reservations.settle_incident"}
)
_READS_ACCESS: Final = (
    _permissions("audit", "view", "apiclient apitoken staffaccess idempotencykey outboxevent")
    | _permissions("audit", "view", "webhooksubscription webhookattempt")
    | _permissions("auth", "view", "user group")
    | _permissions("reservations", "view", "deadletter receivedevent")
    | {"inventory.view_archivedfile"}
)
_ADMINISTRATOR: Final = (
    _MANAGER
    | _READS_ACCESS
    | _permissions("audit", "add change", "apiclient apitoken")
    | _permissions("audit", "add change delete", "webhooksubscription")
    | _permissions("auth", "add change", "user")
    | {"audit.change_staffaccess", "inventory.repair_stock", "reservations.settle_deadletter"}
)
_AUDITOR: Final = (
    _READS_STOCK
    | _READS_BOOKS
    | _READS_ACCESS
    | _permissions("inventory", "view", "ledgeropening alertsubscription")
    | {"reservations.view_ordernote"}
)

STAFF_GROUPS: Final = (
    StaffGroup("viewer", _("looks, and may be mailed about alerts"), _VIEWER),
    StaffGroup("warehouse", _("also receives, adjusts, ships, transfers, counts and reverses documents"), _WAREHOUSE),
    StaffGroup(
        "manager",
        _("also posts counts, releases, extends and sells reservations, keeps the catalogue and reads the audit"),
        _MANAGER,
    ),
    StaffGroup("administrator", _("also keeps people and API clients"), _ADMINISTRATOR),
    StaffGroup(
        "auditor", _("reads everything, including people, API clients and the audit, and changes nothing"), _AUDITOR
    ),
)
