"""The interface through which ``inventory`` uses holds, which belong to another package: ``reservations`` implements
it and installs the implementation when it starts (``reservations/holds_adapter.py``).

Services call ``holds()``; nothing else in this package depends on reservations.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from audit.actors import Actor
from audit.events import OutboxRow
from audit.identifiers import ADJUSTMENT, COUNT, RESERVATION, public_id
from inventory.locking import LockedLevels
from inventory.services.stock.ledger import Ledger

NOT_BROKEN: Final = ("hold_not_in_the_way", "reservation_not_found", "reserved_unexplained")
"""The codes of the refusals to break holds, whose errors are defined beside holds."""
CauseType = Literal["COUNT", "ADJUSTMENT"]
_PREFIXES: Final[dict[CauseType, str]] = {"COUNT": COUNT, "ADJUSTMENT": ADJUSTMENT}


@dataclass(frozen=True, slots=True)
class ShortageCause:
    """The cause of a shortage: a count or a forced adjustment, by its id."""

    type: CauseType
    id: UUID

    @property
    def public_id(self) -> str:
        """``cnt-<uuid>`` or ``adj-<uuid>``."""
        return public_id(_PREFIXES[self.type], self.id)


@dataclass(frozen=True, slots=True)
class Preference:
    """The reservations that staff want to give way first, in this order. ``pointer`` points to them in the body."""

    ids: tuple[UUID, ...] = ()
    pointer: str = "/breakReservations"


NONE_PREFERRED: Final = Preference()


@dataclass(frozen=True, slots=True)
class AffectedItem:
    """Units that an affected hold gives back. ``product_id`` is the parent if ``variant_id`` is set; ``warehouse`` is a
    code."""

    product_id: UUID
    variant_id: UUID | None
    warehouse: str
    quantity: int


@dataclass(frozen=True, slots=True)
class AffectedHold:
    """A reservation that was or would be broken, as shown to users. ``store`` is a code."""

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

    @property
    def rows(self) -> int:
        """How many rows are written where it gives way: itself, its items, an incident, an audit entry, an event."""
        return 4 + len(self.items)


@dataclass(frozen=True, slots=True)
class HoldInTheWay:
    """Units of a hold on a level that is short of units: staff may choose that this hold gives way."""

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
    """The effect of changes in the present state: missing units by level, and the holds that would give way, in order.

    ``now`` is the database's clock.
    """

    missing: dict[UUID, int]
    broken: tuple[AffectedHold, ...]
    now: datetime


class Breaking(Protocol):
    """The holds chosen to give way to some changes. They are locked, and so are the levels of the changes and holds."""

    levels: LockedLevels

    def give_way(self, ledger: Ledger) -> None:
        """Give the stock of these holds back on the ledger: due ones expire, the others are released."""

    def write(self) -> None:
        """Write the ends of the holds, the incidents and their audit entries. Follows ``give_way``."""

    @property
    def events(self) -> tuple[OutboxRow, ...]:
        """The events of the holds' ends, to be published with the ledger. Follows ``give_way``."""

    @property
    def broken(self) -> tuple[AffectedHold, ...]:
        """The broken reservations, in the order in which they were broken, without the due ones."""

    @property
    def incident_ids(self) -> tuple[str, ...]:
        """The public ids of the incidents, one for each level that lost holds."""


class HoldsPort(Protocol):
    """Expires due holds, breaks holds in a shortage, and previews that."""

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

        Raises LockedElsewhere (``transactions.run`` retries), and conflicts if holds don't explain the reserved units
        or a preferred hold isn't in the way. Locks: holds by id, levels by id.
        """

    def foresee(
        self, changes: Mapping[UUID, int], counters: Mapping[UUID, tuple[int, int]], preferred: Sequence[UUID] = ()
    ) -> ShortageForecast:
        """Forecast which holds these changes would break, the preferred ones first. Locks nothing, writes nothing.

        ``counters`` are (on hand, reserved) by level. Units held only by due holds don't count as missing.
        """

    def in_the_way(self, level_ids: Collection[UUID], now: datetime, *, limit: int) -> list[HoldInTheWay]:
        """The holds on these levels that aren't due at ``now``, by SKU, then the newest first."""


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
