"""A progress bar for commands, shown only on a terminal, so that logs stay clean."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from django.core.management.base import OutputWrapper

_WIDTH: Final = 30
_PAUSE_SECONDS: Final = 0.1


def _show_nothing(done: int) -> None:
    pass


@contextmanager
def progress_bar(out: OutputWrapper, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar, and yield a function that takes how many of ``total`` are done. The bar is removed at the end;
    without a terminal nothing is shown."""
    if not out.isatty():
        yield _show_nothing
        return
    shown_at = 0.0

    def show(done: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if done < total and now - shown_at < _PAUSE_SECONDS:
            return
        shown_at = now
        filled = _WIDTH * min(done, total) // max(total, 1)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        out.write(f"\r{bar} {done:,} of {total:,} {what}", ending="")
        out.flush()

    try:
        yield show
    finally:
        out.write("\r\033[K", ending="")
        out.flush()
