"""Begin an epoch of the log of events, after the database was restored."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from audit import feed


class Command(BaseCommand):
    """Begins an epoch (``audit.feed.rebase``)."""

    help = (
        "Begin an epoch of the log of events: earlier events are compared by position from then on, not by transaction"
        " id. Run it after the database was recovered to an earlier point in time: readers then continue after the last"
        " event that both they and the database have. After a dump is restored into another cluster, the service does"
        " this itself."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            batch = feed.rebase()
        except OperationalError as error:
            raise CommandError(f"Nothing was changed: events are being written ({error}). Try again.") from error
        self.stdout.write(f"Tick {batch.tick} begins an epoch; {batch.events} events had not been published before.")
