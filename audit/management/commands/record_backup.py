"""Record that a backup of the database succeeded, so that a missing one is noticed."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from audit import heartbeats
from audit.instants import NotAnInstant, parse_instant

USAGE: Final = 2
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


class Command(BaseCommand):
    """Records the time of a backup, unless a later one was recorded before."""

    help = (
        "Record that a backup of the database succeeded. Call it at the end of the script that makes backups: the"
        " status of the service, manage.py doctor and the metrics show the age of the last one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at", metavar="TIME", help="when the backup began, such as 2026-01-15T03:00:00Z (default: now)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = _read_clock()
        try:
            at = parse_instant(options["at"], UTC) if options["at"] is not None else now
        except NotAnInstant as error:
            raise CommandError(f"--at: {error}", returncode=USAGE) from error
        if at > now + _CLOCKS_DIFFER:
            raise CommandError("--at: this time is in the future.", returncode=USAGE)
        last = heartbeats.read().get(heartbeats.BACKUP)
        if last and last.at >= at:
            self.stdout.write(f"A backup of {last.at:%Y-%m-%d %H:%M:%S} UTC is recorded already; nothing was changed.")
            return
        heartbeats.write(heartbeats.BACKUP, at)
        self.stdout.write(f"Recorded the backup of {at:%Y-%m-%d %H:%M:%S} UTC.")


def _read_clock() -> datetime:
    """The database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
