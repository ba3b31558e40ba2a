"""Celery's logs are the service's: the same lines, with the task and with the id of the request that sent it."""

from typing import Any, Final

import structlog
from celery import signals

_HEADER: Final = "request_id"


def connect() -> None:
    """Keep Celery from configuring logging, send the request's id along with a task, and bind it while the task
    runs."""
    signals.setup_logging.connect(_keep_as_configured, weak=False)
    signals.before_task_publish.connect(_send_request_id, weak=False)
    signals.task_prerun.connect(_bind, weak=False)
    signals.task_postrun.connect(_unbind, weak=False)


def _keep_as_configured(**_: Any) -> None:
    """Celery configures its own logging unless this signal has a receiver."""


def _send_request_id(headers: dict[str, Any], **_: Any) -> None:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers[_HEADER] = request_id


def _bind(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    request_id = task.request.get(_HEADER) or task_id
    structlog.contextvars.bind_contextvars(request_id=str(request_id)[:128], task=task.name, task_id=task_id)


def _unbind(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
