"""The request for an export of many rows."""

from typing import Any, Final, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.console.base import actor_of
from audit.context import request_id_of
from audit.list_exports import ListExport

MOST_AT_A_TIME: Final = 3
"""The most exports of a person that are being written at a time."""


def begin(model_admin: Any, request: HttpRequest, kind: str, name: str, rows: int) -> HttpResponse:
    """Write a list's rows in the background, unless the same is being written, and show the person's exports."""
    from audit.console.large_exports import tasks  # noqa: PLC0415 - the tasks rebuild lists, which are made of this

    asked = {"model": model_admin.model._meta.label_lower, "kind": kind, "query": request.GET.urlencode()}
    unfinished = ListExport.objects.filter(user=request.user.pk, state=ListExport.State.WRITING)
    if not unfinished.filter(**asked).exists():
        if unfinished.count() >= MOST_AT_A_TIME:
            words = _("%(most)s of your exports are being written. Wait for one of them, or cancel it.")
            messages.warning(request, words % {"most": MOST_AT_A_TIME})
            return redirect("admin:exports")
        codes = actor_of(request).warehouse_codes
        export = ListExport.objects.create(
            **asked,
            user=cast(Any, request.user),
            name=name,
            time_zone=timezone.get_current_timezone_name(),
            warehouse_codes=None if codes is None else list(codes),
            rows=rows,
            request_id=request_id_of(request),
        )
        tasks.send(export)
    return redirect("admin:exports")
