"""The models of reservations, a module for each subject."""

from reservations.models.holds import Reservation, ReservationItem
from reservations.models.shortages import BrokenHold, ShortageIncident

__all__ = ["BrokenHold", "Reservation", "ReservationItem", "ShortageIncident"]
