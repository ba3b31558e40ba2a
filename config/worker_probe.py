"""`python -m config.worker_probe NAME`: whether the Celery worker NAME of this machine still takes tasks.

For the liveness probe of a container. A worker is to be restarted if it has lost its connection to Redis and doesn't
notice, not while Redis is away: it waits for it by itself, and a restart would only delay it. So this succeeds if Redis
can't be reached. It loads neither Django nor the tasks, which takes three times as long.
"""

import socket
import sys
from typing import Final

from celery import Celery
from celery.exceptions import OperationalError

from config.variables.servers import REDIS_URL

PATIENCE_SECONDS: Final = 10.0
"""How long the worker may take to answer: it does so between two tasks, and beside those of child processes."""


def takes_tasks(worker: str, redis_url: str, patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether the worker (``name@host``) answers a ping; true, too, if Redis can't be reached."""
    app = Celery(broker=redis_url.replace("unix://", "redis+socket://", 1))
    app.conf.broker_connection_retry = False
    app.conf.broker_transport_options = {"socket_connect_timeout": 5, "socket_timeout": 5, "max_retries": 0}
    try:
        return bool(app.control.ping([worker], timeout=patience_seconds, limit=1))
    except (OperationalError, OSError):
        return True


def main() -> None:
    """Exit with 0 if the worker takes tasks, else with 1 and a sentence."""
    if len(sys.argv) != 2:
        sys.exit("Name the worker: python -m config.worker_probe worker")
    worker = f"{sys.argv[1]}@{socket.gethostname()}"
    if not takes_tasks(worker, REDIS_URL):
        sys.exit(f"{worker} doesn't answer, and Redis does.")


if __name__ == "__main__":
    main()
