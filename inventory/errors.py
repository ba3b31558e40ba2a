"""Why a stock command can't be met. Errors carry facts; ``config/problems.py`` gives them a status."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from audit.errors import DomainError, Fault


class Shortage(msgspec.Struct, frozen=True, gc=False):
    """A line that is short. Quantities in units; ``available`` is what was sellable when it was decided.

    ``pointer`` is the line's place in the body; ``product_id`` is the parent where ``variant_id`` is set.
    """

    pointer: str
    product_id: UUID
    variant_id: UUID | None
    warehouse: str | None
    requested: int
    available: int

    def fault(self) -> Fault:
        """The line with what a caller needs to mend it."""
        facts: dict[str, object] = {"productId": str(self.product_id)}
        if self.variant_id:
            facts["variantId"] = str(self.variant_id)
        if self.warehouse:
            facts["warehouseId"] = self.warehouse
        facts |= {"requested": self.requested, "available": self.available}
        detail = f"{self.requested} requested, {self.available} available"
        return Fault(self.pointer, InsufficientStock.code, detail, facts)


class InsufficientStock(DomainError):
    """Fewer units than were asked for. ``levels`` is where units were looked for."""

    def __init__(self, shortages: Sequence[Shortage], levels: Collection[UUID] = ()) -> None:
        super().__init__("Not enough stock for this request.", [shortage.fault() for shortage in shortages])
        self.shortages = tuple(shortages)
        self.levels = frozenset(levels)


class UnknownProduct(DomainError):
    """No product has this id, or the variant isn't the product's."""


class UnknownWarehouse(DomainError):
    """No warehouse has this code."""


class UnknownStore(DomainError):
    """No store has this code, or the caller may not see it."""


class WarehouseNotInStore(DomainError):
    """The store doesn't sell from this warehouse, or the caller may not touch it."""


class ProductInactive(DomainError):
    """The product (or its parent) is switched off."""


class ListingExpired(DomainError):
    """The product's listing is past its end."""


class WarehouseInactive(DomainError):
    """The warehouse is switched off."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Why something is frozen, and until when; None: until somebody lifts it."""

    reason: str
    until: datetime | None

    def facts(self) -> dict[str, Any]:
        """What a caller needs to know of it."""
        until: str | None = msgspec.to_builtins(self.until)
        return {"reason": self.reason, "until": until}

    def words(self) -> str:
        """The end of a sentence: `` until 2030-01-01T00:00:00Z: a recall``."""
        until = f" until {self.until:%Y-%m-%dT%H:%M:%SZ}" if self.until else ""
        return f"{until}: {self.reason}" if self.reason else f"{until}."


class Frozen(DomainError):
    """Something of it takes no new holds for now. What is held goes its way."""

    def __init__(self, detail: str, faults: Sequence[Fault] = (), *, freeze: Freeze | None = None) -> None:
        super().__init__(detail, faults)
        self.freeze = freeze

    def fault(self, pointer: str) -> Fault:
        """Says why, and until when."""
        return Fault(pointer, self.code, self.detail, self.freeze.facts() if self.freeze else {})


class ProductFrozen(Frozen):
    """The product (or its parent) is frozen."""


class WarehouseFrozen(Frozen):
    """The warehouse is frozen."""


class StoreFrozen(Frozen):
    """The store is frozen."""


class QuantityLimit(DomainError):
    """On hand would exceed what one level may have."""


class VersionConflict(DomainError):
    """The level, or the product, has changed since the caller read it."""


class SkuTaken(DomainError):
    """Another product has this SKU."""


class AlertResolved(DomainError):
    """The alert is over: nothing is left to acknowledge or snooze."""


class MixedRoute(DomainError):
    """The items of a transfer don't all go from one warehouse to one other."""


class TransferNotSent(DomainError):
    """The transfer is a draft: nothing of it is in transit."""


class TransferAlreadySent(DomainError):
    """The transfer is on its way: only a draft is changed or sent."""


class TransferClosed(DomainError):
    """The transfer was received or cancelled: nothing of it is in transit any more."""


class MoreThanInTransit(DomainError):
    """More units arrived than are on the way. Receive what was sent, and adjust what came beside it."""


class Archived(DomainError):
    """What was asked for lies before the ledger's beginning: it is in an archive."""


class ArchiveRefused(Exception):
    """Rows can't be archived as things are; the message says why. Nothing was deleted. Never met over HTTP."""


class AlreadyInCount(DomainError):
    """The level is in another open count: both would post the same difference."""


class NothingToCount(DomainError):
    """No level is in the scope of the count, or each of them is in another open count."""


class CountTooLarge(DomainError):
    """More levels than one count may have: count zone by zone."""


class CountClosed(DomainError):
    """The count was posted or cancelled before."""


class CountIncomplete(DomainError):
    """Lines miss their count, or the second count that their difference needs."""


class CountBelowZero(DomainError):
    """What left since the counting is more than was counted: on hand would fall below zero."""


class ProductNotInCount(DomainError):
    """The count has no line of this product."""
