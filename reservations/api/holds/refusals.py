"""The errors that the operations of holds may answer (``audit.api.schema.describe``)."""

from typing import Final

from inventory.errors import (
    InsufficientStock,
    ListingExpired,
    ProductFrozen,
    ProductInactive,
    StoreFrozen,
    UnknownProduct,
    UnknownStore,
    UnknownWarehouse,
    WarehouseFrozen,
    WarehouseInactive,
    WarehouseNotInStore,
)
from reservations.errors import (
    AlreadyExtended,
    HoldLimitExceeded,
    OrderAlreadyHeld,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
    ReservedForAnotherOrder,
    TimeoutTooLong,
)

_NOT_HELD: Final = (
    InsufficientStock,
    ListingExpired,
    ProductFrozen,
    ProductInactive,
    StoreFrozen,
    WarehouseFrozen,
    WarehouseInactive,
)
PUT_CART: Final = (
    *_NOT_HELD,
    HoldLimitExceeded,
    TimeoutTooLong,
    UnknownProduct,
    UnknownStore,
    UnknownWarehouse,
    WarehouseNotInStore,
)
RESERVE: Final = (*PUT_CART, OrderAlreadyHeld)
EXTEND: Final = (
    AlreadyExtended,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
)
RELEASE: Final = (ReservationConsumed, ReservationNotFound)
DELETE_CART: Final = RELEASE
CONSUME: Final = (
    *_NOT_HELD,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
    ReservedForAnotherOrder,
)
"""With ``reacquire``, units are held anew: then what refuses a hold refuses a consume."""
READ: Final = (ReservationNotFound,)
