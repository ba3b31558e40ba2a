"""Pages of the console for errors, with its menu for members of staff, and what there is beside it: ``/`` and unknown
addresses.
"""

import sys
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.cache import patch_vary_headers
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter
from django.views.decorators.csrf import csrf_exempt


def page(request: HttpRequest, status: int, reason: str = "", *, name: str = "") -> HttpResponse:
    """The error page ``templates/<status>.html``, or that of another name, with a reason if given.

    It has the console's menu for members of staff, unless the menu can't be read.
    """
    template, context = f"{name or status}.html", {"reason": reason}
    if not _is_database_away(sys.exc_info()[1]):
        try:
            return render(request, template, {**_menu(request), **context}, status=status)
        except Exception:  # noqa: BLE001, S110 - the page of an error must not fail for the same reason as its request
            pass
    return HttpResponse(render_to_string(template, context), status=status)


def _is_database_away(error: BaseException | None) -> bool:
    """Whether this error, or one that led to it, is the database's: the menu would wait for it in vain."""
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _menu(request: HttpRequest) -> dict[str, Any]:
    """The context of the console's menu; empty for anybody who may not use the console. It reads the database."""
    if not hasattr(request, "user") or not admin.site.has_permission(request):
        return {}
    return {**admin.site.each_context(request), "frame": "console/error_in_console.html"}


@csrf_exempt
def start(request: HttpRequest) -> HttpResponse:
    """Redirect ``/`` to the API's documentation: to the page for people, or to the OpenAPI document for programs that
    accept no page; to the console where this process serves no documentation.
    """
    if not settings.API_DOCS or settings.WEB_SERVES == "console":
        return redirect("admin:index")
    answer = redirect("docs" if request.accepts("text/html") else "schema")
    patch_vary_headers(answer, ("Accept",))
    return answer


def icon(request: HttpRequest) -> HttpResponse:
    """``/favicon.ico``, which browsers ask for on pages that name no icon."""
    return redirect(static("console/favicon.svg"))


def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form without a valid token. Django's reason is for developers."""
    return page(request, 403, name="403_csrf")


@csrf_exempt
def no_such_page(request: HttpRequest, path: str) -> HttpResponse:
    """The answer to unknown addresses: a route of its own, so that it is the same page with DEBUG."""
    return page(request, 404)


class PageReporter(ExceptionReporter):
    """With DEBUG, shows people the error page that they see without it. The traceback is in the log."""

    def get_traceback_html(self) -> SafeString:
        """The page, with the console's menu where it can be read."""
        is_refused = isinstance(self.exc_value, SuspiciousOperation)
        status = 400 if is_refused else 500
        if self.request is None:
            return render_to_string(f"{status}.html")
        return SafeString(page(self.request, status).content.decode())
