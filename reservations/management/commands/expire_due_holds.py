"""Sweep due holds once, for installations with cron instead of Celery."""

from typing import Any

from django.core.management.base import BaseCommand

from audit import heartbeats
from reservations.services.holds import expiry


class Command(BaseCommand):
    """Sweeps once and prints how many holds were expired."""

    help = "Record all holds past their end as expired and give their stock back."

    def handle(self, *args: Any, **options: Any) -> None:
        expired = expiry.expire_due_holds()
        heartbeats.beat(heartbeats.SWEEPER, expired=expired)
        self.stdout.write(f"{expired} holds expired")
