"""Background tasks of the inventory package."""

from celery import shared_task

from inventory.locking import read_clock
from inventory.services.catalogue import freezing
from inventory.services.drafts import expiry
from inventory.services.low_stock import alerts as low_stock
from inventory.services.low_stock import digests


@shared_task(name="inventory.tasks.check_low_stock")  # type: ignore[untyped-decorator]
def check_low_stock() -> int:
    """Open missed alerts, resolve recovered ones, and mail the due ones. Returns the number of mails."""
    low_stock.raise_missed()
    low_stock.resolve_recovered()
    return digests.send_digests()


@shared_task(name="inventory.tasks.record_ended_freezes")  # type: ignore[untyped-decorator]
def record_ended_freezes() -> int:
    """Record the freezes that have ended by themselves, with their events. Returns their number."""
    return freezing.record_ended()


@shared_task(name="inventory.tasks.expire_drafts")  # type: ignore[untyped-decorator]
def expire_drafts() -> int:
    """Delete drafts of deliveries that were not changed for ``DRAFT_DAYS``. Returns their number."""
    expiry.forget_commands(read_clock())
    return expiry.expire_drafts()
