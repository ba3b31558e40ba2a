"""Logging: JSON lines in production, readable lines on a console, with the request id in each."""

import logging
import logging.config
from typing import Any, Final

import structlog
from structlog.typing import Processor

_REFUSED_HOST_LENGTH: Final = 300


def _without_traceback(record: logging.LogRecord) -> bool:
    """Shorten a refused host name to a line: anybody can send one, as often and as long as they like."""
    record.exc_info = None
    record.msg, record.args = record.getMessage()[:_REFUSED_HOST_LENGTH], ()
    return True


_LOGGERS: Final[dict[str, dict[str, Any]]] = {
    # Refused requests concern only their callers; the proxy's access log has them.
    "django.request": {"level": "ERROR"},
    "django.security.DisallowedHost": {"filters": ["without_traceback"]},
    "django.db.backends": {"level": "WARNING"},
    # It logs at each start that Pillow is missing, which only image formats other than SVG need.
    "pyBarcode": {"level": "WARNING"},
}


def configure(*, json: bool, level: str) -> None:
    """Send every log record, Django's and Celery's too, through structlog to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structlog": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
                }
            },
            "filters": {"without_traceback": {"()": lambda: _without_traceback}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": _LOGGERS,
        }
    )
