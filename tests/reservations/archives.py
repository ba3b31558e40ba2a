"""Helpers for tests that make and read archives."""

from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

from inventory.services.bookkeeping import archiving


def archive(**options: Any) -> str:
    """Run the command. Returns its output."""
    output = StringIO()
    call_command("archive", stdout=output, **options)
    return output.getvalue()


def enter_without_deleting(series: archiving.Series) -> str:
    """Leave the state of a run that is killed before it deletes rows: a file and its registration."""
    cutoff = archiving.cutoff_of(series, None)
    assert cutoff
    with archiving.archive_files.one_at_a_time(Path(archiving.settings.ARCHIVE_DIR)):
        batch = archiving._read_batch(series, cutoff)
        return archiving._store(series, Path(archiving.settings.ARCHIVE_DIR), batch).name
