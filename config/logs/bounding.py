"""The volume of logs is bounded: the same line is written a few times a minute, then one line counts the rest."""

import atexit
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

logger = structlog.get_logger(__name__)

REQUESTS: Final = "requests"
"""The logger of request lines. ``log_request`` calls ``BOUNDED.admits`` itself, before it composes a line."""
MOST: Final = 20
"""The most lines of one cause in a window, from WARNING on."""
MOST_OF_LOGGER: Final = 100
"""The most such lines of one logger in a window, whatever their causes."""
MORE_INFO: Final = 10
"""The factor of both limits for lines below WARNING."""
WINDOW_SECONDS: Final = 60.0
_MOST_CAUSES: Final = 500
_VARIES: Final = re.compile(r"'[^']*'?|\"[^\"]*\"?|[^A-Za-z_ .:]+")
_TEMPLATE_LENGTH: Final = 60


class Cause(NamedTuple):
    """What makes two lines the same: their logger, level, event and the kind of error; not the values in them."""

    logger: str
    level: int
    event: str
    error: str


def cause_of(record: logging.LogRecord) -> Cause:
    """The cause of a line, from structlog or the standard library."""
    line = record.msg if isinstance(record.msg, dict) else {}
    event = str(line["event"]) if "event" in line else str(record.msg)
    error = _error_of(line.get("exc_info") or record.exc_info) or str(line.get("cause", ""))
    return Cause(record.name, record.levelno, _VARIES.sub("", event)[:_TEMPLATE_LENGTH], error[:_TEMPLATE_LENGTH])


def _error_of(found: Any) -> str:
    if isinstance(found, BaseException):
        return type(found).__name__
    kind = found[0] if isinstance(found, tuple) else sys.exc_info()[0] if found else None
    return kind.__name__ if kind else ""


def _all_of(cause: Cause) -> Cause:
    """The cause under which all lines of its logger and level are counted together."""
    return cause._replace(event="*", error="")


@dataclass(slots=True)
class _Window:
    ends_at: float
    written: int = 0
    left_out: int = 0


class Bounded(logging.Filter):
    """Passes the first lines of each cause in a window. What it leaves out is counted, and logged when a window ends.

    ``exempt``: loggers whose lines always pass. Thread-safe.
    """

    def __init__(self, *, exempt: tuple[str, ...] = (), clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._exempt = {__name__, *exempt}
        self._clock = clock
        self._begin()
        os.register_at_fork(after_in_child=self._begin)
        atexit.register(self.report, ended_only=False)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[Cause, _Window] = {}
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        return record.name in self._exempt or self.admits(cause_of(record))

    def admits(self, cause: Cause) -> bool:
        """Whether a line of a cause may be written; it is counted either way."""
        factor = 1 if cause.level >= logging.WARNING else MORE_INFO
        with self._lock:
            ended = self._end_windows() if self._is_over(cause) else []
            passes = self._passes(cause, MOST * factor) and self._passes(_all_of(cause), MOST_OF_LOGGER * factor)
            if not passes:
                self._await_end()
        _log(ended)
        if not passes:
            _count()
        return passes

    def report(self, *, ended_only: bool = True) -> None:
        """Log what was left out in windows that have ended, or in all."""
        with self._lock:
            self._timer = None
            ended = self._end_windows(ended_only=ended_only)
            if any(window.left_out for window in self._windows.values()):
                self._await_end()
        _log(ended)

    def _is_over(self, cause: Cause) -> bool:
        window = self._windows.get(cause)
        return len(self._windows) >= _MOST_CAUSES if window is None else self._clock() >= window.ends_at

    def _passes(self, cause: Cause, most: int) -> bool:
        window = self._windows.get(cause)
        if window is None and len(self._windows) >= _MOST_CAUSES:
            cause = Cause("*", cause.level, "*", "")
            window = self._windows.get(cause)
        if window is None:
            window = self._windows[cause] = _Window(self._clock() + WINDOW_SECONDS)
        if window.written >= most:
            window.left_out += 1
            return False
        window.written += 1
        return True

    def _end_windows(self, *, ended_only: bool = True) -> list[tuple[Cause, int]]:
        """Forget windows that have ended. Returns those that left something out."""
        now = self._clock()
        over = {cause: window for cause, window in self._windows.items() if not ended_only or now >= window.ends_at}
        for cause in over:
            del self._windows[cause]
        return [(cause, window.left_out) for cause, window in over.items() if window.left_out]

    def _await_end(self) -> None:
        """Start a timer, so that what was left out is logged even if no other line comes."""
        if self._timer is None and not sys.is_finalizing():
            self._timer = threading.Timer(WINDOW_SECONDS, self.report)
            self._timer.daemon = True
            self._timer.start()


BOUNDED: Final = Bounded(exempt=(REQUESTS,))
"""Of this process."""


def _log(ended: list[tuple[Cause, int]]) -> None:
    for cause, number in ended:
        logger.warning(
            "lines_left_out",
            number=number,
            of_logger=cause.logger,
            of_event=cause.event,
            of_error=cause.error,
            seconds=WINDOW_SECONDS,
        )


def _count() -> None:
    from audit.metrics.definitions import LOG_LINES_DROPPED  # noqa: PLC0415 - only once lines are left out

    LOG_LINES_DROPPED.add(1)
