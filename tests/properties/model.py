"""The stock as a child would keep it: a number of units on each level, and who holds how many of them."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class ModelHold:
    """A hold and how it ended: ``state`` is ACTIVE, DUE, CONSUMED, RELEASED or EXPIRED."""

    items: dict[UUID, int]
    cart: str
    order: str | None = None
    state: str = "ACTIVE"
    is_extended: bool = False

    @property
    def is_standing(self) -> bool:
        """Whether it still counts as reserved: dead ones do until that is recorded."""
        return self.state in {"ACTIVE", "DUE"}


@dataclass
class ModelTransfer:
    """Units on their way, by product. ``state`` is a ``Transfer.Status``; ``has_arrived`` if a part of it has."""

    source: str
    target: str
    wanted: dict[int, int]
    away: dict[int, int] = field(default_factory=dict)
    state: str = "PENDING"
    has_arrived: bool = False


@dataclass
class Model:
    """All that there is. The real thing chooses the levels of sourced lines; the model takes note.

    ``units`` are those of all warehouses and in transit: what was received and returned, less what was shipped, sold
    and lost, as corrected.
    """

    on_hand: dict[UUID, int] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    counts: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """The open counts: what each would add to its levels."""
    transfers: dict[UUID, ModelTransfer] = field(default_factory=dict)
    units: int = 0

    def incoming(self, product: int, warehouse: str) -> int:
        """Units of a product in transit to a warehouse."""
        return sum(each.away.get(product, 0) for each in self.transfers.values() if each.target == warehouse)

    def reserved(self, level: UUID) -> int:
        """What counts as reserved of a level."""
        return sum(hold.items.get(level, 0) for hold in self.holds.values() if hold.is_standing)

    def sellable(self, level: UUID) -> int:
        """What a buyer may have: dead holds don't stand in the way."""
        alive = sum(hold.items.get(level, 0) for hold in self.holds.values() if hold.state == "ACTIVE")
        return self.on_hand[level] - alive

    def missing(self, changes: dict[UUID, int]) -> dict[UUID, int]:
        """By how many units more than there will be is held, by level; what dead holds hold isn't missing."""
        short = {level: -self.sellable(level) - change for level, change in changes.items()}
        return {level: units for level, units in short.items() if units > 0}

    def of_cart(self, cart: str, *states: str) -> list[UUID]:
        """The holds of a cart in these states, the oldest first."""
        return [id_ for id_, hold in self.holds.items() if hold.cart == cart and hold.state in states]
