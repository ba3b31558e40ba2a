"""The beginning of metrics in each kind of program: web, Celery's, the relay and the consumer."""

import threading
import time
from typing import Any, Final

import structlog
from celery import signals
from django.conf import settings
from django.db import connection

from audit.db.pool import is_pooled
from audit.metrics import store
from audit.metrics.definitions import DATABASE_CONNECTIONS, TASK_DURATION, TASK_FAILURES

logger = structlog.get_logger(__name__)
_LOOK_EVERY_SECONDS: Final = 5.0
_WORKERS: Final = ("worker", "sweeper")
_began: Final[dict[str, float]] = {}
"""When each task began that runs in this process, by its id."""


def prepare() -> None:
    """Count in this process, and serve the metrics in it if it runs for long; nothing without ``METRICS_PORT``.

    Called once, when the settings and the apps are there.
    """
    if not settings.METRICS_PORT:
        return
    store.begin(settings.METRICS_DIR)
    store.when_program_begins(_serve)
    signals.worker_init.connect(_name_worker, weak=False)
    signals.worker_process_init.connect(_begin_worker, weak=False)
    signals.beat_init.connect(_begin_beat, weak=False)
    signals.task_prerun.connect(_note_beginning, weak=False)
    signals.task_postrun.connect(_count_task, weak=False)
    signals.task_failure.connect(_count_failure, weak=False)


def begin_web() -> None:
    """Begin in a web process."""
    store.begin_program("web")
    if store.is_begun() and is_pooled():
        threading.Thread(target=_watch_pool, name="metrics-pool", daemon=True).start()


def _serve() -> None:
    """Serve the metrics of this machine, once no other process does, in a thread."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - and what follows: only where metrics are on

    from config.metrics.collecting import ProcessesCollector  # noqa: PLC0415
    from config.metrics.exporter import Exporter  # noqa: PLC0415
    from config.metrics.figures import DatabaseCollector  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProcessesCollector(settings.METRICS_DIR))
    registry.register(DatabaseCollector())
    exporter = Exporter(registry, settings.METRICS_DIR, settings.METRICS_HOST, settings.METRICS_PORT or 0)
    threading.Thread(target=exporter.run, name="metrics", daemon=True).start()


def _name_worker(sender: Any, **_: Any) -> None:
    """Set the role of a worker by the name in its command: ``sweeper``, else ``worker``. Its forks inherit it."""
    name = str(sender.hostname).partition("@")[0]
    store.set_role(name if name in _WORKERS else "worker")


def _begin_worker(**_: Any) -> None:
    """In a process that runs tasks. The parent of such processes has no threads, which a fork would break."""
    store.begin_program(store.own_role())


def _begin_beat(**_: Any) -> None:
    store.begin_program("beat")


def _note_beginning(task_id: str, **_: Any) -> None:
    _began[task_id] = time.perf_counter()


def _count_task(task_id: str, task: Any, **_: Any) -> None:
    began = _began.pop(task_id, None)
    if began is not None:
        TASK_DURATION.observe(time.perf_counter() - began, task.name)


def _count_failure(sender: Any, **_: Any) -> None:
    TASK_FAILURES.add(1, sender.name)


def _watch_pool() -> None:
    """Look at the pool of this process every few seconds, for as long as it runs."""
    while True:
        try:
            look_at_pool()
        except Exception:
            logger.exception("pool_not_looked_at")
        time.sleep(_LOOK_EVERY_SECONDS)


def look_at_pool() -> None:
    """Set the gauges of this process's pool, which is opened if need be."""
    pool: Any = connection.pool  # type: ignore[attr-defined]
    stats = pool.get_stats()
    idle = stats["pool_available"]
    DATABASE_CONNECTIONS.set(stats["pool_size"] - idle, "used")
    DATABASE_CONNECTIONS.set(idle, "idle")
    DATABASE_CONNECTIONS.set(stats.get("requests_waiting", 0), "waiting")
