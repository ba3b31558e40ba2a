"""A simple model of the stock: the units on each level, and the holds and transfers of them."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class ModelHold:
    """A hold and how it ended: ``state`` is ACTIVE, DUE, CONSUMED, RELEASED or EXPIRED."""

    items: dict[UUID, int]
    cart: str
    order: str | None = None
    store: str = ""
    state: str = "ACTIVE"
    is_extended: bool = False

    @property
    def is_standing(self) -> bool:
        """Whether it counts as reserved: dead holds do until their end is recorded."""
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
    """The state of the model. The service chooses the levels of sourced lines; the model records its choice.

    ``units`` are those of all warehouses and in transit: what was received and returned, less what was shipped, sold
    and lost, as corrected.
    """

    on_hand: dict[UUID, int] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    counts: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """The open counts, with the units that each would add to its levels."""
    transfers: dict[UUID, ModelTransfer] = field(default_factory=dict)
    units: int = 0

    def incoming(self, product: int, warehouse: str) -> int:
        """Units of a product in transit to a warehouse."""
        return sum(each.away.get(product, 0) for each in self.transfers.values() if each.target == warehouse)

    def reserved(self, level: UUID) -> int:
        """The reserved units of a level."""
        return sum(hold.items.get(level, 0) for hold in self.holds.values() if hold.is_standing)

    def sellable(self, level: UUID) -> int:
        """The sellable units of a level, dead holds counting as free."""
        alive = sum(hold.items.get(level, 0) for hold in self.holds.values() if hold.state == "ACTIVE")
        return self.on_hand[level] - alive

    def missing(self, changes: dict[UUID, int]) -> dict[UUID, int]:
        """By level, the units by which live holds will exceed on hand after the changes."""
        short = {level: -self.sellable(level) - change for level, change in changes.items()}
        return {level: units for level, units in short.items() if units > 0}

    def of_order(self, order: str, *states: str) -> list[UUID]:
        """The holds of an order in these states, the oldest first."""
        return [id_ for id_, hold in self.holds.items() if hold.order == order and hold.state in states]

    def of_cart(self, cart: str, *states: str) -> list[UUID]:
        """The holds of a cart in these states, the oldest first."""
        return [id_ for id_, hold in self.holds.items() if hold.cart == cart and hold.state in states]
