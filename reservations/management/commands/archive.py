"""Move old movements, closed reservations and audit entries to files."""

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.errors import Busy
from inventory.errors import ArchiveRefused
from inventory.management.arguments import day
from inventory.services.bookkeeping import archiving
from inventory.services.bookkeeping.archiving import Series
from reservations.services.bookkeeping.archiving import every_series


class Command(BaseCommand):
    """Prints each file, and how many rows went to it."""

    help = (
        "Write movements, closed reservations and audit entries that are older than MOVEMENT_RETENTION_DAYS, "
        "RESERVATION_RETENTION_DAYS and AUDIT_RETENTION_DAYS to files in ARCHIVE_DIR, and delete them. "
        "Finishes first what an earlier run began."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many rows would go")
        parser.add_argument(
            "--before",
            type=day,
            metavar="DATE",
            help=f"take all that is older than this day (UTC), at least {archiving.YOUNGEST_DAYS} days ago",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        last: date | None = options["before"]
        before = datetime.combine(last, time(), UTC) if last else None
        try:
            for series in every_series():
                self._archive(series, before, is_dry_run=options["dry_run"])
        except (ArchiveRefused, Busy, OSError) as error:
            raise CommandError(f"{error} Nothing is lost; run it again once that is mended.") from error

    def _archive(self, series: Series, before: datetime | None, *, is_dry_run: bool) -> None:
        label = str(series.kind.label).lower()
        if is_dry_run:
            self.stdout.write(f"{archiving.count(series, before=before)} {label} would be archived")
            return
        total = 0
        for file in archiving.archive(series, before=before):
            total += file.deleted
            self.stdout.write(f"  {file.name}: {file.deleted} {label}")
        self.stdout.write(f"{total} {label} archived")
