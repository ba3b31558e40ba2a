"""Background tasks whose work is stored in a row: the message only triggers it, and may be lost."""

from typing import Any, Final
from uuid import UUID

import structlog
from celery.exceptions import OperationalError

logger = structlog.get_logger(__name__)
_PATIENCE_SECONDS: Final = 1
_PATIENCE: Final = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "socket_connect_timeout": _PATIENCE_SECONDS,
    "socket_timeout": _PATIENCE_SECONDS,
}
"""One quick attempt to publish: a request must not wait for Redis."""


def send(task: Any, key: UUID) -> None:
    """Queue a Celery task for the row with this primary key.

    A failure is logged alone: a periodic task must find the rows whose message was lost, and send them again.
    """
    try:
        with task.app.connection(connect_timeout=_PATIENCE_SECONDS, transport_options=_PATIENCE) as connection:
            task.apply_async(args=[str(key)], retry=False, connection=connection)
    except (OperationalError, OSError) as error:
        logger.warning("task_not_sent", task=task.name, key=str(key), error=str(error))
