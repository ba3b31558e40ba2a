"""The Celery tasks of the reservations package."""

import structlog
from celery import shared_task

from audit import heartbeats
from inventory.errors import ArchiveBusy
from inventory.services.bookkeeping import archiving
from reservations.services.bookkeeping import reconciliation
from reservations.services.bookkeeping.archiving import every_series
from reservations.services.canary import run_canary
from reservations.services.holds import expiry
from reservations.services.orders import memory

logger = structlog.get_logger(__name__)


@shared_task(name="reservations.tasks.expire_due_holds")  # type: ignore[untyped-decorator]
def expire_due_holds() -> int:
    """Sweep all due holds once. Returns how many were expired."""
    expired = expiry.expire_due_holds()
    heartbeats.beat(heartbeats.SWEEPER, expired=expired)
    heartbeats.beat(heartbeats.BEAT)  # Only the scheduler sends this task.
    return expired


@shared_task(name="reservations.tasks.forget_received_events")  # type: ignore[untyped-decorator]
def forget_received_events() -> int:
    """Delete what the inbox has remembered for ``INBOX_RETENTION_DAYS``. Returns the number of rows."""
    return memory.purge()


@shared_task(name="reservations.tasks.reconcile")  # type: ignore[untyped-decorator]
def reconcile() -> int:
    """Run a reconciliation without repairs. Returns the number of findings."""
    run = reconciliation.reconcile(reconciliation.NIGHTLY)
    if run.finding_count:
        logger.error("books_do_not_balance", reconciliation_id=str(run.id), findings=run.counts)
    return run.finding_count


@shared_task(name="reservations.tasks.archive")  # type: ignore[untyped-decorator]
def archive() -> int:
    """Move rows that are past their retention to files, unless another run does. Returns the number of rows."""
    rows = 0
    try:
        for series in every_series():
            rows += sum(file.deleted for file in archiving.archive(series))
    except ArchiveBusy as error:
        logger.info("archive_left_to_another_run", reason=str(error))
    return rows


@shared_task(name="reservations.tasks.run_the_canary")  # type: ignore[untyped-decorator]
def run_the_canary() -> str:
    """Reserve, consume and return a unit of the hidden product. Returns the outcome."""
    return run_canary()
