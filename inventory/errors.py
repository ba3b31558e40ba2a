"""Errors of stock commands. They carry facts; ``config/problems.py`` maps them to a status."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from audit.errors import DomainError, Fault


class Shortage(msgspec.Struct, frozen=True, gc=False):
    """A line that is short. Quantities in units; ``available`` is the sellable quantity at the time of the decision.

    ``pointer`` is a JSON pointer to the line in the body; ``product_id`` is the parent if ``variant_id`` is set.
    """

    pointer: str
    product_id: UUID
    variant_id: UUID | None
    warehouse: str | None
    requested: int
    available: int

    def fault(self) -> Fault:
        """The shortage as a fault, with the figures that a caller needs to correct the line."""
        facts: dict[str, object] = {"productId": str(self.product_id)}
        if self.variant_id:
            facts["variantId"] = str(self.variant_id)
        if self.warehouse:
            facts["warehouseId"] = self.warehouse
        facts |= {"requested": self.requested, "available": self.available}
        are = "is" if self.available == 1 else "are"
        detail = f"{self.requested} requested, but only {self.available} {are} available."
        return Fault(self.pointer, InsufficientStock.code, detail, facts)


class InsufficientStock(DomainError):
    """Fewer units are available than requested. ``levels`` are the levels that were considered, apart from those on
    which no hold is due."""

    def __init__(self, shortages: Sequence[Shortage], levels: Collection[UUID] = ()) -> None:
        super().__init__("Not enough stock for this request.", [shortage.fault() for shortage in shortages])
        self.shortages = tuple(shortages)
        self.levels = frozenset(levels)

    def again(self) -> "InsufficientStock":
        """Make the same refusal for another request, without describing its shortages anew."""
        error = InsufficientStock.__new__(InsufficientStock, self.detail)
        error.detail, error.faults = self.detail, self.faults
        error.shortages, error.levels = self.shortages, self.levels
        return error


class UnknownProduct(DomainError):
    """No product has this id, or the variant isn't the product's."""


class UnknownWarehouse(DomainError):
    """No warehouse has this code."""


class UnknownStore(DomainError):
    """No store has this code, or the caller may not see it."""


class WarehouseNotInStore(DomainError):
    """The store doesn't sell from this warehouse, or the caller may not touch it."""


class ProductInactive(DomainError):
    """The product (or its parent) is inactive."""


class ListingExpired(DomainError):
    """The product's listing is past its end."""


class WarehouseInactive(DomainError):
    """The warehouse is inactive."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """A freeze: its reason, and its end; None until it is unfrozen."""

    reason: str
    until: datetime | None

    def facts(self) -> dict[str, Any]:
        """The reason and the end, as facts of a fault."""
        until: str | None = msgspec.to_builtins(self.until)
        return {"reason": self.reason, "until": until}

    def words(self) -> str:
        """The end of a sentence, such as `` until 2030-01-01T00:00:00Z: a recall.``."""
        until = f" until {self.until:%Y-%m-%dT%H:%M:%SZ}" if self.until else ""
        end = "" if self.reason.endswith((".", "!", "?")) else "."
        return f"{until}: {self.reason}{end}" if self.reason else f"{until}."


class Frozen(DomainError):
    """The product, warehouse or store is frozen: new holds are refused, existing ones are not affected."""

    def __init__(self, detail: str, faults: Sequence[Fault] = (), *, freeze: Freeze | None = None) -> None:
        super().__init__(detail, faults)
        self.freeze = freeze

    def fault(self, pointer: str) -> Fault:
        """The error as a fault, with the freeze's reason and end."""
        return Fault(pointer, self.code, self.detail, self.freeze.facts() if self.freeze else {})


class ProductFrozen(Frozen):
    """The product (or its parent) is frozen."""


class WarehouseFrozen(Frozen):
    """The warehouse is frozen."""


class StoreFrozen(Frozen):
    """The store is frozen."""


class QuantityLimit(DomainError):
    """On hand would exceed the limit of one level."""


class SkuTaken(DomainError):
    """Another product has this SKU."""


class AlertResolved(DomainError):
    """The alert is resolved: it can't be acknowledged or snoozed any more."""


class MixedRoute(DomainError):
    """The items of a transfer don't all share one source and one destination."""


class TransferNotSent(DomainError):
    """The transfer is a draft: none of its units are in transit."""


class TransferAlreadySent(DomainError):
    """The transfer was sent before: only a draft can be changed or sent."""


class TransferClosed(DomainError):
    """The transfer was received or cancelled: none of its units are in transit any more."""


class MoreThanInTransit(DomainError):
    """More units arrived than are in transit. Receive the units that were sent, and adjust by the surplus."""


class ArchiveRefused(Exception):
    """Rows can't be archived at present; the message says why. Nothing was deleted. Not raised over HTTP."""


class ArchiveBusy(ArchiveRefused):
    """Another run archives at present, and does what this one would."""


class AlreadyInCount(DomainError):
    """The level is in another open count: both would post the same difference."""


class NothingToCount(DomainError):
    """No level is in the scope of the count, or each of them is in another open count."""


class CountTooLarge(DomainError):
    """More levels than one count may have: count zone by zone."""


class CountClosed(DomainError):
    """The count was posted or cancelled before."""


class CountIncomplete(DomainError):
    """Lines lack a count, or the second count that their difference requires."""


class CountBelowZero(DomainError):
    """More units left after the counting than were counted: on hand would fall below zero."""


class ProductNotInCount(DomainError):
    """The count has no line of this product."""


class DocumentReversed(DomainError):
    """The document was reversed before, which happens once."""


class ReversalIsFinal(DomainError):
    """The document is a reversal, which isn't reversed itself."""


class TransferNotReceived(DomainError):
    """The transfer has brought nothing to its destination that could be sent back."""


class MoreThanSold(DomainError):
    """More units would come back than the order was sold and hasn't returned."""


class DraftChanged(DomainError):
    """The draft has changed since the person saw it: another tab or device has changed it."""


class DraftPosted(DomainError):
    """The draft was posted before: it can't be changed any more."""
