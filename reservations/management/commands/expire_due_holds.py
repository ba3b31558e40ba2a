"""Sweep due holds once, for installations with cron instead of Celery."""

from typing import Any

from django.core.management.base import BaseCommand

from reservations.services.holds import expiry


class Command(BaseCommand):
    """Sweeps once and prints how many holds were expired."""

    help = "Record all holds past their end as expired and give their stock back."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{expiry.expire_due_holds()} holds expired")
