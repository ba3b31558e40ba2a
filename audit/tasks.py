"""Background tasks of the audit package."""

from celery import shared_task

from audit import idempotency


@shared_task(name="audit.tasks.purge_idempotency_keys")  # type: ignore[untyped-decorator]
def purge_idempotency_keys() -> int:
    """Delete idempotency keys past their lifetime. Returns the number deleted."""
    return idempotency.purge()
