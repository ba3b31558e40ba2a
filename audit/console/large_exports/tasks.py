"""Celery tasks that write exports. The export's row says what is to be done; a message only triggers it.

A message that got lost, with Redis or with its worker, is sent again by the page that waits, and by a periodic task.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from celery import shared_task
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext
from uuid_utils.compat import uuid7

from audit import queues
from audit.console.large_exports.writing import Stopped, TooLarge, write
from audit.list_exports import ListExport

State = ListExport.State
KEPT: Final = timedelta(days=1)
FORGOTTEN_SECONDS: Final = 60
"""An export without progress for so long has lost its worker: it is queued again."""
MOST_ATTEMPTS: Final = 3


def send(export: ListExport) -> None:
    """Queue the writing of an export. If that fails, the periodic task queues it later."""
    queues.send(write_export, export.pk)


def send_if_forgotten(export: ListExport) -> None:
    """Queue the writing again if there was no progress for a minute. The worker that had it, if it lives, stops."""
    if _forgotten().filter(pk=export.pk).update(seen_at=Now(), token=None):
        send(export)


def _forgotten() -> "QuerySet[ListExport]":
    since = timezone.now() - timedelta(seconds=FORGOTTEN_SECONDS)
    return ListExport.objects.filter(_without_worker(since), state=State.WRITING)


def _without_worker(since: Any) -> Q:
    return Q(seen_at__lt=since) | Q(seen_at=None, created_at__lt=since)


@shared_task(name="audit.console.large_exports.tasks.tidy_exports")  # type: ignore[untyped-decorator]
def tidy_exports() -> int:
    """Queue exports without progress again, and delete old ones. Returns the number deleted."""
    for export in _forgotten():
        send_if_forgotten(export)
    old = ListExport.objects.filter(created_at__lt=timezone.now() - KEPT)
    keys = list(old.values_list("pk", flat=True))
    old.filter(pk__in=keys).delete()
    return len(keys)


@shared_task(name="audit.console.large_exports.tasks.write_export")  # type: ignore[untyped-decorator]
def write_export(export_id: str) -> None:
    """Write an export's file; nothing if that is done, cancelled, or another worker does it."""
    token = uuid7()
    export = _claimed(UUID(export_id), token)
    if export is None:
        return
    if export.attempts > MOST_ATTEMPTS:
        words = gettext("The worker stopped %(times)s times while it wrote the file. Tell an administrator.")
        _end(export, token, State.FAILED, words % {"times": MOST_ATTEMPTS})
        return
    try:
        write(export, token)
    except Stopped:
        return
    except PermissionDenied:
        words = gettext("Your permissions or your warehouses have changed since. Export the list again.")
        _end(export, token, State.FAILED, words)
    except TooLarge as error:
        _end(export, token, State.FAILED, str(error))
    except DatabaseError:
        raise  # It is tried again.
    except Exception:
        _end(export, token, State.FAILED, gettext("The export failed; the error was logged."))
        raise
    else:
        _end(export, token, State.DONE)


def _claimed(export_id: UUID, token: UUID) -> ListExport | None:
    """Take an export for this worker, unless one is writing it."""
    free = Q(begun_at=None) | _without_worker(timezone.now() - timedelta(seconds=FORGOTTEN_SECONDS)) | Q(token=None)
    taken = ListExport.objects.filter(free, pk=export_id, state=State.WRITING).update(
        token=token, begun_at=Now(), seen_at=Now(), rows_done=0, size_bytes=0, attempts=F("attempts") + 1
    )
    return ListExport.objects.select_related("user").get(pk=export_id) if taken else None


def _end(export: ListExport, token: UUID, state: str, failure: str = "") -> None:
    """Store the end, and delete the pieces of a file that isn't complete."""
    mine = ListExport.objects.filter(pk=export.pk, token=token, state=State.WRITING)
    if mine.update(state=state, failure=failure, ended_at=Now()) and state != State.DONE:
        export.pieces.all().delete()
