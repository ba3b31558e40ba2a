"""The pages of the console about what is where, a file for each subject."""

from inventory.admin import (
    alerts,
    catalogue,
    clients,
    counts,
    movements,
    people,
    reasons,
    reconciliation,
    stock,
    transfers,
)

__all__ = [
    "alerts",
    "catalogue",
    "clients",
    "counts",
    "movements",
    "people",
    "reasons",
    "reconciliation",
    "stock",
    "transfers",
]
