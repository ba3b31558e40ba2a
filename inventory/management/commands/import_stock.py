"""The command ``import_stock``: change on hand by the lines of a CSV file."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.actors import Actor
from audit.errors import Busy, IdempotencyInProgress
from inventory.management.arguments import LONGEST_ACTOR, line_argument
from inventory.management.progress import progress_bar
from inventory.services.stock.import_files import COLUMNS, ImportFile, read_file
from inventory.services.stock.import_history import EVERY_ROW
from inventory.services.stock.imports import Imported, import_stock, plan_import

BAD_LINES: Final = 1
USAGE: Final = 2
UNFINISHED: Final = 3
_LONGEST_REASON: Final = 300
_MOST_BYTES: Final = 256 * 1024 * 1024


class Command(BaseCommand):
    """Imports a file. Prints each bad cell as ``file:row column``; the exit status is not 0 if there is one."""

    help = (
        f"Change on hand by the lines of a CSV or XLSX file with the header {','.join(COLUMNS)}. All lines are "
        "applied, or none; lines that were booked before, by this or another file, are left out and listed. Exit "
        "status: 0 done, 1 there are bad lines, 2 wrong usage, 3 not finished."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV or XLSX; - reads standard input")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--skip-bad", action="store_true", help="apply the good lines, and tell the others")
        parser.add_argument(
            "--again", action="store_true", help="also apply the lines that were booked before; each run does so"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="TITLE=COLUMN",
            help="take a column from the one with this title; columns that aren't named are ignored then",
        )
        parser.add_argument(
            "--set", action="append", default=[], metavar="COLUMN=VALUE", help="the value of a column in all lines"
        )
        parser.add_argument(
            "--freeze-override", metavar="REASON", help="why frozen goods are shipped; refused without it"
        )
        parser.add_argument("--actor", default="import_stock", help="who runs this, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        name = line_argument("--actor", options["actor"], LONGEST_ACTOR, returncode=USAGE)
        actor = Actor(name=name, client_id=None, request_id="", source="command")
        skip_bad, again = options["skip_bad"], EVERY_ROW if options["again"] else ()
        if skip_bad and options["again"]:
            message = (
                "--again applies all lines or none, so that a run that was cut off repeats none: not with --skip-bad."
            )
            raise CommandError(message, returncode=USAGE)
        override = _override(options["freeze_override"])
        chosen, constants = _pairs("--map", options["map"]), _pairs("--set", options["set"])
        with _no_cycles_collected():
            file = _read(options["file"], chosen, constants)
            if options["dry_run"]:
                done = plan_import(actor, file, skip_bad=skip_bad, again=again, freeze_override=override)
            else:
                done = self._import(actor, file, skip_bad=skip_bad, again=again, freeze_override=override)
        for cell in done.bad:
            self.stderr.write(f"{file.name}:{cell.row} {cell.column + ' ' if cell.column else ''}{cell.detail}")
        for cell in done.repeated:
            self.stderr.write(f"{file.name}:{cell.row} {cell.detail}: left out (--again applies it)")
        for cell in done.restored:
            self.stderr.write(f"{file.name}:{cell.row} {cell.detail}: applied again")
        self.stdout.write(_summary(done, is_plan=options["dry_run"], skip_bad=skip_bad))
        if done.bad:
            sys.exit(BAD_LINES)

    def _import(self, actor: Actor, file: ImportFile, *, skip_bad: bool, **options: Any) -> Imported:
        with progress_bar(self.stderr, "lines", len(file.lines)) as progress:
            try:
                done = import_stock(actor, file, skip_bad=skip_bad, progress=progress, **options)
                return cast(Imported, done)  # Without a claim there is no stored answer.
            except (Busy, IdempotencyInProgress) as error:
                outcome = (
                    "The lines so far are kept; run it again for the rest." if skip_bad else "No stock was changed."
                )
                raise CommandError(f"Not finished: {error.detail} {outcome}", returncode=UNFINISHED) from error


@contextmanager
def _no_cycles_collected() -> Iterator[None]:
    """Pause the garbage collector: a large file makes hundreds of thousands of objects without a reference cycle, and
    the collector's searches for one took half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """The pairs of ``--map`` (title and column) or ``--set`` (column and value)."""
    pairs = dict(text.rpartition("=")[::2] if option == "--map" else text.partition("=")[::2] for text in given)
    columns = pairs.values() if option == "--map" else pairs
    if "" in pairs or not set(columns) <= set(COLUMNS):
        takes = "TITLE=COLUMN" if option == "--map" else "COLUMN=VALUE"
        raise CommandError(f"{option} takes {takes}; the columns are {', '.join(COLUMNS)}.", returncode=USAGE)
    return pairs


def _override(given: str | None) -> str:
    """The reason for shipping frozen goods; empty if the option isn't given."""
    return "" if given is None else line_argument("--freeze-override", given, _LONGEST_REASON, returncode=USAGE)


def _read(name: str, chosen: Mapping[str, str], constants: Mapping[str, str]) -> ImportFile:
    try:
        content = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _content(Path(name))
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.", returncode=USAGE) from error
    if len(content) > _MOST_BYTES:
        raise CommandError(f"{name} has more than {_MOST_BYTES:,} bytes: split it.", returncode=USAGE)
    return read_file("stdin" if name == "-" else name, content, chosen, constants)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _summary(done: Imported, *, is_plan: bool, skip_bad: bool) -> str:
    bad = len({cell.row for cell in done.bad})
    verb = "would be applied" if is_plan else "applied"
    parts = [f"{done.applied:,} lines {verb}"]
    if done.before:
        parts.append(f"{done.before:,} imported before")
    if bad:
        parts.append(f"{bad:,} bad" if skip_bad else f"{bad:,} bad: none is applied unless all are good (--skip-bad)")
    return ", ".join(parts) + "."
