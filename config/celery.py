"""The Celery application and the whole schedule.

A periodic message expires after its interval, so that messages don't pile up while no worker runs.
"""

import sys
import warnings
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from django.conf import settings

from config import orphans, startup
from config.logs import tasks

startup.begin()

# Its processes are forked by the main thread: at start, and when one has to be replaced.
signals.worker_init.connect(lambda **_: orphans.end_forks_with_this_process(), weak=False)

tasks.connect()
# Celery warns of root since pickled messages would run code. Messages are JSON.
warnings.filterwarnings("ignore", module=r"celery\.platforms")

app = Celery("inventory")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["audit", "audit.console.imports", "audit.console.large_exports", "inventory", "reservations"])

# The sweep has a queue and a worker of its own: no slow task may delay the release of stock.
app.conf.task_routes = {"reservations.tasks.expire_due_holds": {"queue": "sweep"}}
app.conf.beat_schedule = {
    "expire-due-holds": {
        "task": "reservations.tasks.expire_due_holds",
        "schedule": settings.SWEEP_INTERVAL_SECONDS,
        "options": {"expires": settings.SWEEP_INTERVAL_SECONDS},
    },
    "beat": {
        "task": "audit.tasks.beat",
        "schedule": 15,
        "options": {"expires": 15},
    },
    "purge-idempotency-keys": {
        "task": "audit.tasks.purge_idempotency_keys",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
    "tend-event-log": {
        "task": "audit.tasks.tend_event_log",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
    "tend-webhooks": {
        "task": "audit.tasks.tend_webhooks",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
    "forget-received-events": {
        "task": "reservations.tasks.forget_received_events",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
    "tidy-file-imports": {
        "task": "audit.console.imports.tasks.tidy_file_imports",
        "schedule": 60,
        "options": {"expires": 60},
    },
    "tidy-exports": {
        "task": "audit.console.large_exports.tasks.tidy_exports",
        "schedule": 60,
        "options": {"expires": 60},
    },
    "clear-sessions": {
        "task": "audit.tasks.clear_sessions",
        "schedule": crontab(hour="4", minute="7"),
        "options": {"expires": 24 * 3600},
    },
    "record-ended-freezes": {
        "task": "inventory.tasks.record_ended_freezes",
        "schedule": 60,
        "options": {"expires": 60},
    },
    "expire-drafts": {
        "task": "inventory.tasks.expire_drafts",
        "schedule": crontab(hour="4", minute="37"),
        "options": {"expires": 24 * 3600},
    },
    "check-low-stock": {
        "task": "inventory.tasks.check_low_stock",
        "schedule": settings.LOW_STOCK_INTERVAL_MINUTES * 60,
        "options": {"expires": settings.LOW_STOCK_INTERVAL_MINUTES * 60},
    },
    "reconcile": {
        "task": "reservations.tasks.reconcile",
        "schedule": crontab(hour="3", minute="17"),
        "options": {"expires": 24 * 3600},
    },
    "archive": {
        "task": "reservations.tasks.archive",
        "schedule": crontab(minute="30", hour="3", day_of_month="1"),
        "options": {"expires": 24 * 3600},
    },
}
if settings.CANARY:
    app.conf.beat_schedule["run-the-canary"] = {
        "task": "reservations.tasks.run_the_canary",
        "schedule": 60,
        "options": {"expires": 60},
    }


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _refuse_unwritable_folders(instance: Any, **_: Any) -> None:
    """End a worker that would archive and can't, today rather than at the first of a month."""
    if "celery" in instance.app.amqp.queues.consume_from and (faults := startup.folder_faults()):
        sys.exit("\n".join(faults))
