"""Begin an epoch of the log of events, after the database was restored."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from audit import feed


class Command(BaseCommand):
    """Begins an epoch (``audit.feed.rebase``)."""

    help = (
        "Compare the events that were written so far by position from now on, not by transaction. Run it after the"
        " database was restored to an earlier point in time: readers then go on after the last event that they and the"
        " database have. After a dump was restored into another cluster the service does it by itself."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            batch = feed.rebase()
        except OperationalError as error:
            raise CommandError(f"Nothing was changed: events are being written ({error}). Try again.") from error
        self.stdout.write(f"Tick {batch.tick} begins an epoch; {batch.events} events had not been published before.")
