"""What ``inventory`` needs of holds, which are another package's: an interface that ``reservations`` implements and
installs when it starts (``reservations/holds_adapter.py``).

Services call ``holds()``; nothing else here knows that there are reservations.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from audit.actors import Actor
from audit.identifiers import ADJUSTMENT, COUNT, RESERVATION, public_id
from inventory.locking import LockedLevels
from inventory.services.stock.ledger import Ledger

CauseType = Literal["COUNT", "ADJUSTMENT"]
_PREFIXES: Final[dict[CauseType, str]] = {"COUNT": COUNT, "ADJUSTMENT": ADJUSTMENT}


@dataclass(frozen=True, slots=True)
class ShortageCause:
    """What found that units are missing: a count or a forced adjustment, and its id."""

    type: CauseType
    id: UUID

    @property
    def public_id(self) -> str:
        """``cnt-<uuid>`` or ``adj-<uuid>``."""
        return public_id(_PREFIXES[self.type], self.id)


@dataclass(frozen=True, slots=True)
class Preference:
    """Which reservations staff want to give way first, in this order. ``pointer`` is their place in the body."""

    ids: tuple[UUID, ...] = ()
    pointer: str = "/breakReservations"


NONE_PREFERRED: Final = Preference()


@dataclass(frozen=True, slots=True)
class AffectedItem:
    """Units that an affected hold gives back. ``product_id`` is the parent where ``variant_id`` is set; ``warehouse``
    is a code."""

    product_id: UUID
    variant_id: UUID | None
    warehouse: str
    quantity: int


@dataclass(frozen=True, slots=True)
class AffectedHold:
    """A hold that gave way, or would: what is shown of it. ``store`` is a code."""

    id: UUID
    store: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    created_at: datetime
    expires_at: datetime
    items: tuple[AffectedItem, ...]

    @property
    def public_id(self) -> str:
        """``res-<uuid>``."""
        return public_id(RESERVATION, self.id)


@dataclass(frozen=True, slots=True)
class HoldInTheWay:
    """Units that a hold has on a level where some are missing: staff may choose that it gives way."""

    reservation_id: UUID
    sku: str
    quantity: int
    order_id: str | None
    cart_id: str | None

    @property
    def public_id(self) -> str:
        """``res-<uuid>``."""
        return public_id(RESERVATION, self.reservation_id)


@dataclass(frozen=True, slots=True)
class ShortageForecast:
    """What changes would do as things are: units missing by level, and the holds that would give way, in their order.

    ``now`` is the database's clock.
    """

    missing: dict[UUID, int]
    broken: tuple[AffectedHold, ...]
    now: datetime


class Breaking(Protocol):
    """The holds chosen to give way to some changes, under lock, and under lock all levels of the changes and holds."""

    levels: LockedLevels

    def give_way(self, ledger: Ledger) -> None:
        """Give the stock of these holds back on the ledger: due ones expire, the others are released."""

    def write(self) -> None:
        """Write the ends of the holds, the incidents, their audit entries and events. Follows ``give_way``."""

    @property
    def broken(self) -> tuple[AffectedHold, ...]:
        """The holds that were released, in the order in which they gave way; due ones aren't among them."""

    @property
    def incident_ids(self) -> tuple[str, ...]:
        """The public ids of the incidents, one for each level that lost holds."""


class HoldsPort(Protocol):
    """Free due holds, break holds where too little is left, and preview that."""

    def free_due(self, level_ids: Collection[UUID]) -> None:
        """Expire the due holds on these levels, in transactions of its own. Requires that none is open.

        Raises Busy. Locks: due holds by id, then their levels by id.
        """

    def lock_and_choose(
        self,
        actor: Actor,
        cause: ShortageCause,
        changes: Mapping[UUID, int],
        may_give_way: Collection[UUID],
        preferred: Preference = NONE_PREFERRED,
    ) -> Breaking:
        """Lock the levels of these changes (signed units of on hand by level), and the holds that must give way on the
        levels ``may_give_way``. Requires an open transaction that has locked neither reservations nor levels.

        Raises LockedElsewhere (``transactions.run`` tries again), and conflicts where the reserved units aren't
        explained by holds or a preferred hold isn't in the way. Locks: holds by id, levels by id.
        """

    def foresee(
        self, changes: Mapping[UUID, int], counters: Mapping[UUID, tuple[int, int]], preferred: Sequence[UUID] = ()
    ) -> ShortageForecast:
        """What these changes would break as things are, the preferred reservations first; nothing is locked or written.

        ``counters`` are (on hand, reserved) by level. What due holds alone hold isn't missing.
        """

    def in_the_way(self, level_ids: Collection[UUID], now: datetime, *, limit: int) -> list[HoldInTheWay]:
        """The holds on these levels that aren't due at ``now``, by SKU, the newest first."""


_installed: list[HoldsPort] = []


def install(port: HoldsPort) -> None:
    """Make this the implementation that ``holds()`` returns."""
    _installed[:] = [port]


def holds() -> HoldsPort:
    """The installed implementation. Raises ImproperlyConfigured if there is none."""
    if not _installed:
        raise ImproperlyConfigured(
            "inventory has no implementation of HoldsPort: an app must call inventory.holds_port.install() in ready()."
        )
    return _installed[0]
