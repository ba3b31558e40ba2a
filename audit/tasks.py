"""Background tasks of the audit package."""

from celery import shared_task
from django.core.management import call_command

from audit import feed, heartbeats, idempotency
from audit.webhooks.tending import tend_webhooks as tend


@shared_task(name="audit.tasks.beat")  # type: ignore[untyped-decorator]
def beat() -> None:
    """Record that the scheduler sends tasks, and that a worker runs them."""
    heartbeats.beat(heartbeats.BEAT)
    heartbeats.beat(heartbeats.WORKER)


@shared_task(name="audit.tasks.purge_idempotency_keys")  # type: ignore[untyped-decorator]
def purge_idempotency_keys() -> int:
    """Delete idempotency keys past their lifetime. Returns the number deleted."""
    return idempotency.purge()


@shared_task(name="audit.tasks.clear_sessions")  # type: ignore[untyped-decorator]
def clear_sessions() -> None:
    """Delete the sessions of staff that have ended."""
    call_command("clearsessions")


@shared_task(name="audit.tasks.tend_event_log")  # type: ignore[untyped-decorator]
def tend_event_log() -> None:
    """Make the partitions of the next days for events, and delete old events."""
    feed.tend_log()


@shared_task(name="audit.tasks.tend_webhooks")  # type: ignore[untyped-decorator]
def tend_webhooks() -> None:
    """Make the partitions of the next days for the log of attempts, and delete old attempts."""
    tend()
