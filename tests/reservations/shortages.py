"""Helpers for tests that read what a shortage did to a hold."""

from reservations.models import Reservation
from reservations.services.holds.documents import Hold


def status(made: Hold) -> tuple[str, str]:
    return Reservation.objects.values_list("status", "reason").get(pk=made.id)
