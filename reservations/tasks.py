"""What the reservations package does in the background."""

from celery import shared_task

from reservations.services import expiry


@shared_task(name="reservations.tasks.expire_due_holds")  # type: ignore[untyped-decorator]
def expire_due_holds() -> int:
    """Sweep all due holds once. Returns how many were expired."""
    return expiry.expire_due_holds()
