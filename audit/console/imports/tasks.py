"""Celery tasks for large files. The file's row says what is to be done; a message only triggers it.

A message that got lost, with Redis or with its worker, is sent again by the page that waits, and by a periodic task. A
file that two workers work on is imported once, by its idempotency key.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from celery import shared_task
from django.core.exceptions import PermissionDenied
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from audit import queues
from audit.console.imports import work
from audit.console.imports.importers import kind_named
from audit.db.statements import Progress
from audit.errors import DomainError, IdempotencyInProgress
from audit.idempotency import lifetime
from audit.models import FileImport

State = FileImport.State
SLOW_SECONDS: Final = 10
"""After so many seconds, the page says that no worker has begun."""
_FORGOTTEN_SECONDS: Final = 60
"""Work without progress for so long is queued again."""
_PROGRESS: Final = "UPDATE audit_fileimport SET rows_done = %s, seen_at = statement_timestamp() WHERE id = %s"


def send(file: FileImport) -> None:
    """Queue work on a file. If that fails, the periodic task queues it later."""
    queues.send(work_on_file, file.pk)


def send_if_forgotten(file: FileImport) -> None:
    """Queue the work again if there was no progress for a minute."""
    if _forgotten().filter(pk=file.pk).update(seen_at=Now()):
        send(file)


def _forgotten() -> "QuerySet[FileImport]":
    since = timezone.now() - timedelta(seconds=_FORGOTTEN_SECONDS)
    working = FileImport.objects.filter(state__in=(State.READING, State.IMPORTING))
    return working.filter(Q(seen_at=None) | Q(seen_at__lt=since))


@shared_task(name="audit.console.imports.tasks.tidy_file_imports")  # type: ignore[untyped-decorator]
def tidy_file_imports() -> int:
    """Queue work without progress again, and delete expired files. Returns the number deleted."""
    for file in _forgotten():
        send_if_forgotten(file)
    deleted, _ = FileImport.objects.filter(created_at__lt=timezone.now() - lifetime()).delete()
    return deleted


@shared_task(name="audit.console.imports.tasks.work_on_file")  # type: ignore[untyped-decorator]
def work_on_file(file_id: str) -> None:
    """Read or import a file, by its state; nothing if that is done already."""
    file = FileImport.objects.select_related("user").filter(pk=UUID(file_id)).first()
    if file is None or file.state not in (State.READING, State.IMPORTING):
        return
    FileImport.objects.filter(pk=file.pk).update(begun_at=Now(), seen_at=Now())
    file.refresh_from_db()
    try:
        _work_on(file)
    except IdempotencyInProgress:
        return  # Another worker has claimed it.
    except PermissionDenied:
        work.fail(file, gettext("You no longer have permission to import this. Nothing was imported."))
    except DomainError as error:
        work.fail(file, kind_named(file.kind).wording_of(error))
    except Exception:
        work.fail(file, gettext("The import failed; the error was logged. Nothing was imported."))
        raise


def _work_on(file: FileImport) -> None:
    importer = work.importer_for(file)
    if file.state == State.READING:
        work.read(file, importer)
        return
    with _progress_of(file) as progress:
        work.carry_out(file, importer, work.claim_of(file, importer), progress)


@contextmanager
def _progress_of(file: FileImport) -> Iterator[Progress]:
    """Report the rows done on a connection of its own: the import's transaction shows nothing before it ends."""
    own = connections.create_connection(DEFAULT_DB_ALIAS)

    def report(done: int) -> None:
        with own.cursor() as cursor:
            cursor.execute(_PROGRESS, [done, file.pk])

    try:
        yield report
    finally:
        own.close()
