"""The page of a person's own exports: their progress, their files, and a button that cancels one."""

import zlib
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from audit.console.large_exports import tasks
from audit.console.large_exports.rebuilding import require_allowed
from audit.console.workbooks import WORKBOOK
from audit.list_exports import ListExport, ListExportPiece
from audit.whole_numbers import grouped

State = ListExport.State
_SLOW_SECONDS: Final = 10
"""After so many seconds, the page says that no worker has begun."""
_TYPES: Final = {"csv": "text/csv; charset=utf-8", "xlsx": WORKBOOK}


def answer_exports(request: HttpRequest) -> HttpResponse:
    """The page, or with ``?progress`` the progress of each export as JSON."""
    exports = list(_own(request).order_by("-created_at"))
    for export in exports:
        if export.state == State.WRITING:
            tasks.send_if_forgotten(export)
    if "progress" in request.GET:
        return JsonResponse({str(export.pk): _progress(export) for export in exports})
    shown = [(export, _progress(export)) for export in exports]
    context = {**admin.site.each_context(request), "title": _("Exports"), "exports": shown}
    return TemplateResponse(request, "console/exports/page.html", context)


def answer_file(request: HttpRequest, export_id: UUID, kind: str) -> HttpResponseBase:
    """The file of an own export. Raises Http404, and PermissionDenied if the person may not export the list now."""
    export = _own(request).filter(pk=export_id, kind=kind, state=State.DONE).select_related("user").first()
    if export is None:
        raise Http404
    require_allowed(export)
    answer = StreamingHttpResponse(_content(export), content_type=_TYPES[export.kind])
    answer.headers["Content-Disposition"] = f'attachment; filename="{export.file_name}"'
    return answer


@require_POST
def answer_cancel(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Cancel an own export that is being written, or delete its file."""
    export = _own(request).filter(pk=export_id).first()
    if export is None:
        raise Http404
    if _own(request).filter(pk=export_id, state=State.WRITING).update(state=State.CANCELLED, ended_at=Now()):
        export.pieces.all().delete()
    else:
        export.delete()
    return redirect("admin:exports")


def _own(request: HttpRequest) -> "QuerySet[ListExport]":
    """The exports of this person that are kept."""
    return ListExport.objects.filter(user=request.user.pk, created_at__gt=timezone.now() - tasks.KEPT)


def _content(export: ListExport) -> Iterator[bytes]:
    """The file, a piece at a time, each read by a query of its own."""
    number = 0
    while True:
        pieces = ListExportPiece.objects.filter(export=export.pk, number=number).values_list("content", flat=True)
        content = pieces.first()
        if content is None:
            return
        yield zlib.decompress(content)
        number += 1


def _progress(export: ListExport) -> dict[str, Any]:
    """How far an export is: its state, a number for the bar, and a sentence."""
    return {
        "state": export.state,
        "done": min(export.rows_done, export.rows),
        "rows": max(export.rows, 1),
        "words": _words(export),
        "is_stuck": export.state == State.WRITING and _is_stuck(export),
    }


def _is_stuck(export: ListExport) -> bool:
    """Whether no worker has begun, or the one that had has stopped."""
    last = export.seen_at if export.token else export.created_at
    return (timezone.now() - (last or export.created_at)).total_seconds() > _SLOW_SECONDS * (3 if export.token else 1)


def _words(export: ListExport) -> str:
    done = {"done": grouped(export.rows_done), "rows": grouped(export.rows)}
    match export.state:
        case State.DONE:
            return _("%(done)s rows, %(size)s") % {**done, "size": filesizeformat(export.size_bytes)}
        case State.FAILED:
            return export.failure
        case State.CANCELLED:
            return _("Cancelled")
    if not _is_stuck(export):
        words = _("%(done)s of about %(rows)s rows") if export.token else _("Waiting for a worker")
        return words % done
    if export.attempts:
        return _("The worker stopped. Another one begins the file again as soon as one runs.")
    return _("No background worker has begun yet. If this message stays, tell an administrator.")
