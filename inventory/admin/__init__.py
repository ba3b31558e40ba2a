"""The console's pages of the inventory, a package for each subject. Importing this package registers them."""

from inventory.admin.access import clients, people, webhook_attempts, webhooks
from inventory.admin.bookkeeping import reconciliation
from inventory.admin.catalogue import names, products, stores, warehouses
from inventory.admin.counts import lists as counts
from inventory.admin.low_stock import alerts
from inventory.admin.stock import documents, levels, movements, reasons
from inventory.admin.transfers import lists as transfers

__all__ = [
    "alerts",
    "clients",
    "counts",
    "documents",
    "levels",
    "movements",
    "names",
    "people",
    "products",
    "reasons",
    "reconciliation",
    "stores",
    "transfers",
    "warehouses",
    "webhook_attempts",
    "webhooks",
]
