"""Look at everything that an installation needs, one line each."""

import json
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from config.doctor.examining import examine
from config.doctor.lines import Line, Outcome

FAILED: Final = 1


class Command(BaseCommand):
    """Prints a line for each thing that was looked at. The exit status shows whether one failed."""

    help = (
        "Look at settings, clock, disks, PostgreSQL, Redis, background processes, lags, reconciliation and backup, and"
        " print a line for each with what to do. Changes nothing. Exit status: 0 nothing fails, 1 something does."
    )
    # It runs them itself, and prints what they find as its lines.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON array instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        lines = []
        for line in examine():
            lines.append(line)
            if not options["json"]:
                self.stdout.write(str(line))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(line) for line in lines], indent=1))
        else:
            self.stdout.write(_summary(lines))
        if any(line.outcome is Outcome.FAIL for line in lines):
            raise SystemExit(FAILED)


def _summary(lines: list[Line]) -> str:
    numbers = [sum(line.outcome is each for line in lines) for each in Outcome]
    return "{} ok, {} warnings, {} failures".format(*numbers)
