"""The models of reservations, a module for each subject."""

from reservations.models.holds import Reservation, ReservationItem
from reservations.models.orders import DeadLetter, OrderNote, ReceivedEvent
from reservations.models.shortages import BrokenHold, ShortageIncident

__all__ = [
    "BrokenHold",
    "DeadLetter",
    "OrderNote",
    "ReceivedEvent",
    "Reservation",
    "ReservationItem",
    "ShortageIncident",
]
