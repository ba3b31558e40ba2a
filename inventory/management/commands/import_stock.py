"""The command ``import_stock``: change on hand by the lines of a CSV file."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.actors import Actor
from audit.errors import Busy, IdempotencyInProgress
from inventory.management.progress import progress_bar
from inventory.services.stock.import_files import COLUMNS, ImportFile, read_file
from inventory.services.stock.imports import Imported, import_stock, plan_import

BAD_LINES: Final = 1
USAGE: Final = 2
UNFINISHED: Final = 3
_MOST_BYTES: Final = 256 * 1024 * 1024


class Command(BaseCommand):
    """Imports a file. Prints each bad cell as ``file:row column``; the exit status is not 0 if there is one."""

    help = (
        f"Change on hand by the lines of a CSV file with the header {','.join(COLUMNS)}. All lines are applied, or "
        "none; a file that was imported before changes nothing. Exit status: 0 done, 1 there are bad lines, "
        "2 wrong usage, 3 not finished."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="UTF-8, commas or semicolons; - reads standard input")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--skip-bad", action="store_true", help="apply the good lines, and tell the others")
        parser.add_argument("--actor", default="import_stock", help="who runs this, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor(name=_actor(options["actor"]), client_id=None, request_id="", source="command")
        skip_bad = options["skip_bad"]
        with _no_cycles_collected():
            file = _read(options["file"])
            if options["dry_run"]:
                done = plan_import(actor, file, skip_bad=skip_bad)
            else:
                done = self._import(actor, file, skip_bad=skip_bad)
        for cell in done.bad:
            self.stderr.write(f"{file.name}:{cell.row} {cell.column + ' ' if cell.column else ''}{cell.detail}")
        self.stdout.write(_summary(done, is_plan=options["dry_run"], skip_bad=skip_bad))
        if done.bad:
            sys.exit(BAD_LINES)

    def _import(self, actor: Actor, file: ImportFile, *, skip_bad: bool) -> Imported:
        with progress_bar(self.stderr, "lines", len(file.lines)) as progress:
            try:
                return import_stock(actor, file, skip_bad=skip_bad, progress=progress)
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


def _actor(name: str) -> str:
    if not 0 < len(name.strip()) <= 150 or not name.isprintable():
        raise CommandError("--actor takes 1 to 150 printable characters.", returncode=USAGE)
    return name.strip()


def _read(name: str) -> ImportFile:
    try:
        content = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _content(Path(name))
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.", returncode=USAGE) from error
    if len(content) > _MOST_BYTES:
        raise CommandError(f"{name} has more than {_MOST_BYTES:,} bytes: split it.", returncode=USAGE)
    return read_file("stdin" if name == "-" else name, content)


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
