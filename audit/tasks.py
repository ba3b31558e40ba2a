"""What the audit package does in the background."""

from celery import shared_task

from audit import idempotency


@shared_task(name="audit.tasks.purge_idempotency_keys")  # type: ignore[untyped-decorator]
def purge_idempotency_keys() -> int:
    """Delete idempotency keys past their lifetime. Returns how many."""
    return idempotency.purge()
