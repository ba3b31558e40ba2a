"""The actions of the inventory: catalogue, stock, transfers, counts, alerts and accounts."""

from collections.abc import Mapping
from typing import Final, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.actions import Action, RelatedList, SubjectKind, register

MOVEMENTS: Final = RelatedList(_("Movements"), "inventory_movement", "entry")
"""The related list of actions that change on hand."""

# --- catalogue --------------------------------------------------------------------------------------------------------

_PRODUCT: Final = SubjectKind(_("product"), "inventory_product")
_WAREHOUSE: Final = SubjectKind(_("warehouse"), "inventory_warehouse")
_STORE: Final = SubjectKind(_("store"), "inventory_store")

PRODUCT_CREATED: Final = register(Action("inventory_product_created", _("Product added"), "add", _PRODUCT))
PRODUCT_CHANGED: Final = register(Action("inventory_product_changed", _("Product changed"), "edit", _PRODUCT))
PRODUCT_FROZEN: Final = register(Action("inventory_product_frozen", _("Product frozen"), "ac_unit", _PRODUCT))
PRODUCT_UNFROZEN: Final = register(
    Action("inventory_product_unfrozen", _("Freeze of a product lifted"), "sunny", _PRODUCT)
)
WAREHOUSE_CREATED: Final = register(Action("inventory_warehouse_created", _("Warehouse added"), "add", _WAREHOUSE))
WAREHOUSE_CHANGED: Final = register(Action("inventory_warehouse_changed", _("Warehouse changed"), "edit", _WAREHOUSE))
WAREHOUSE_FROZEN: Final = register(Action("inventory_warehouse_frozen", _("Warehouse frozen"), "ac_unit", _WAREHOUSE))
WAREHOUSE_UNFROZEN: Final = register(
    Action("inventory_warehouse_unfrozen", _("Freeze of a warehouse lifted"), "sunny", _WAREHOUSE)
)
STORE_CREATED: Final = register(Action("inventory_store_created", _("Store added"), "add", _STORE))
STORE_CHANGED: Final = register(Action("inventory_store_changed", _("Store changed"), "edit", _STORE))
STORE_FROZEN: Final = register(Action("inventory_store_frozen", _("Store frozen"), "ac_unit", _STORE))
STORE_UNFROZEN: Final = register(Action("inventory_store_unfrozen", _("Freeze of a store lifted"), "sunny", _STORE))

# --- stock ------------------------------------------------------------------------------------------------------------

LEVEL: Final = SubjectKind(_("stock level"), "inventory_stocklevel")
_IMPORTED_FILE: Final = SubjectKind(_("imported file"))
_DOCUMENT: Final = SubjectKind(_("document"), "inventory_stockdocument")
_REASON: Final = SubjectKind(_("reason for changes of stock"), "inventory_adjustmentreason")

STOCK_ADJUSTED: Final = register(
    Action("inventory_stock_adjusted", _("Stock changed"), "edit", LEVEL, related=MOVEMENTS)
)
STOCK_IMPORTED: Final = register(
    Action("inventory_stock_imported", _("Stock imported"), "upload", _IMPORTED_FILE, related=MOVEMENTS)
)
STOCK_RECONCILED: Final = register(
    Action("inventory_stock_reconciled", _("Stock corrected"), "build", LEVEL, related=MOVEMENTS)
)
DOCUMENT_REVERSED: Final = register(
    Action("inventory_document_reversed", _("Document reversed"), "undo", _DOCUMENT, related=MOVEMENTS)
)
LEVEL_CHANGED: Final = register(Action("inventory_level_changed", _("Stock settings changed"), "tune", LEVEL))
REASON_CREATED: Final = register(Action("inventory_adjustmentreason_created", _("Reason added"), "add", _REASON))
REASON_CHANGED: Final = register(Action("inventory_adjustmentreason_changed", _("Reason changed"), "edit", _REASON))

# --- transfers --------------------------------------------------------------------------------------------------------

TRANSFER: Final = SubjectKind(_("transfer"), "inventory_transfer")
TransferVerb = Literal["created", "changed", "sent", "received", "closed", "redirected", "cancelled"]


def _transfer(verb: TransferVerb, label: Promise, icon: str) -> Action:
    """An action on transfers. All link to movements: a transfer can be drafted and sent in the same transaction."""
    return register(Action(f"inventory_transfer_{verb}", label, icon, TRANSFER, related=MOVEMENTS))


TRANSFER_ACTIONS: Final[Mapping[TransferVerb, Action]] = {
    "created": _transfer("created", _("Transfer drafted"), "add"),
    "changed": _transfer("changed", _("Draft of a transfer changed"), "edit"),
    "sent": _transfer("sent", _("Transfer shipped"), "local_shipping"),
    "received": _transfer("received", _("Transfer received"), "input"),
    "closed": _transfer("closed", _("Transfer closed"), "task_alt"),
    "redirected": _transfer("redirected", _("Transfer redirected"), "alt_route"),
    "cancelled": _transfer("cancelled", _("Transfer cancelled"), "undo"),
}
"""Actions by verb; events of transfers use the same verbs."""

# --- drafts -----------------------------------------------------------------------------------------------------------

_DRAFT: Final = SubjectKind(_("draft of a delivery"))
"""Without a page: the draft is deleted."""

DRAFT_TAKEN_OVER: Final = register(Action("inventory_draft_taken_over", _("Delivery taken over"), "person", _DRAFT))
DRAFT_DISCARDED: Final = register(Action("inventory_draft_discarded", _("Delivery discarded"), "delete", _DRAFT))
DRAFT_EXPIRED: Final = register(Action("inventory_draft_expired", _("Draft of a delivery expired"), "delete", _DRAFT))

# --- counts -----------------------------------------------------------------------------------------------------------

COUNT: Final = SubjectKind(_("count"), "inventory_stockcount")

COUNT_OPENED: Final = register(Action("inventory_count_opened", _("Count opened"), "checklist", COUNT))
COUNT_ENTERED: Final = register(Action("inventory_count_entered", _("Counted"), "edit", COUNT))
COUNT_POSTED: Final = register(
    Action("inventory_count_posted", _("Count posted"), "task_alt", COUNT, related=MOVEMENTS)
)
COUNT_CANCELLED: Final = register(Action("inventory_count_cancelled", _("Count cancelled"), "block", COUNT))
COUNT_LINE_CLOSED: Final = register(Action("inventory_count_line_closed", _("Line of a count closed"), "build", COUNT))

# --- low stock --------------------------------------------------------------------------------------------------------

_ALERT: Final = SubjectKind(_("alert"), "inventory_lowstockalert")

ALERT_ACKNOWLEDGED: Final = register(Action("inventory_alert_acknowledged", _("Alert assigned"), "task_alt", _ALERT))
ALERT_SNOOZED: Final = register(Action("inventory_alert_snoozed", _("Alert snoozed"), "snooze", _ALERT))
ALERTS_CHOSEN: Final = register(Action("inventory_alerts_chosen", _("Mail about alerts chosen"), "mail", _WAREHOUSE))

# --- bookkeeping ------------------------------------------------------------------------------------------------------

_ARCHIVED_FILE: Final = SubjectKind(_("archived file"))

ROWS_ARCHIVED: Final = register(Action("inventory_rows_archived", _("Old rows archived"), "archive", _ARCHIVED_FILE))

# --- access -----------------------------------------------------------------------------------------------------------

_ACCOUNT: Final = SubjectKind(_("account"))
"""Without a page: entries store the id of the account's ``StaffAccess``, which has no page."""

USER_CREATED: Final = register(Action("inventory_user_created", _("Account added"), "person_add", _ACCOUNT))
USER_CHANGED: Final = register(Action("inventory_user_changed", _("Account changed"), "edit", _ACCOUNT))
USER_PASSWORD_SET: Final = register(Action("inventory_user_password_set", _("Password set"), "key", _ACCOUNT))
