"""Logging: JSON lines in production, readable lines on a console, with the request id in each.

Every record of a process, Django's, Celery's and granian's too, goes through one handler: it leaves out what comes too
often (``bounding``), hides secrets and cuts what is long (``redacting``). docs/guides/logs.md describes the fields.
"""

import logging
import logging.config
import re
import sys
import threading
from collections.abc import Collection, MutableMapping
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.typing import Processor

from config.logs.bounding import BOUNDED
from config.logs.redacting import Redactor

_REFUSED_HOST_LENGTH: Final = 300
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _without_traceback(record: logging.LogRecord) -> bool:
    """Shorten a refused host name to a line: anybody can send one, as often and as long as they like."""
    record.exc_info = None
    record.msg, record.args = record.getMessage()[:_REFUSED_HOST_LENGTH], ()
    return True


_LOGGERS: Final[dict[str, dict[str, Any]]] = {
    # Refused requests concern only their callers; the line of the request has them.
    "django.request": {"level": "ERROR"},
    "django.security.DisallowedHost": {"filters": ["without_traceback"]},
    "django.db.backends": {"level": "WARNING"},
    # It logs at each start that Pillow is missing, which only image formats other than SVG need.
    "pyBarcode": {"level": "WARNING"},
    # It logs that a task was received; the line at the task's end has the same fields and more.
    "celery.worker.strategy": {"level": "WARNING"},
}
_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def formatter(*, json: bool = True, secrets: Collection[str] = ()) -> logging.Formatter:
    """Renders a record as a line. Without arguments it is for granian, which starts before the settings are read."""
    redactor = Redactor(secrets)
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, redactor, structlog.processors.JSONRenderer()]
        if json
        else [
            structlog.processors.format_exc_info,
            redactor,
            _escape,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )


def configure(*, json: bool, level: str, secrets: Collection[str] = ()) -> None:
    """Send every log record of this process to stderr. ``secrets`` are hidden wherever they stand."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"structlog": {"()": formatter, "json": json, "secrets": secrets}},
            "filters": {
                "without_traceback": {"()": lambda: _without_traceback},
                "bounded": {"()": lambda: BOUNDED},
            },
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "structlog", "filters": ["bounded"]}
            },
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": _LOGGERS,
        }
    )
    if json:
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught
        threading.excepthook = lambda given: _log_uncaught(given.exc_type, given.exc_value, given.exc_traceback)


def _escape(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters, so that text from outside can't begin another line or control the terminal.

    JSON escapes them anyway.
    """
    for key, value in line.items():
        if isinstance(value, str) and key != "exception":
            line[key] = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    return line


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    """Log what ends a program or thread, as one line like all others."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), traceback)
    elif not issubclass(kind, SystemExit):
        logging.getLogger("uncaught").critical("uncaught_error", exc_info=(kind, error or kind(), traceback))
