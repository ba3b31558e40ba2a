"""The list of an export, as its person would see it now."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, QueryDict

from audit.console.base import actor_of
from audit.list_exports import ListExport


def list_of(export: ListExport) -> Any:
    """The admin of an export's list. Workers load no pages until one is needed."""
    import_module(settings.ROOT_URLCONF)
    models = {model._meta.label_lower: model_admin for model, model_admin in admin.site._registry.items()}
    return models[export.model]


def request_of(export: ListExport) -> HttpRequest:
    """A request for the list, by the person of the export, with its filters."""
    request = HttpRequest()
    request.method = "GET"
    request.GET = QueryDict(export.query)
    request.user = export.user
    request.META["inventory.request_id"] = export.request_id
    request._messages = CookieStorage(request)  # type: ignore[attr-defined] # Notes of a search, which nobody reads.
    return request


def require_allowed(export: ListExport) -> None:
    """Raise PermissionDenied unless the person may export this list now, with the warehouses of the export."""
    request, model_admin, user = request_of(export), list_of(export), export.user
    may = user.is_active and user.is_staff and user.has_perm(model_admin.export_permission)
    if not (may and model_admin.has_view_permission(request) and export.is_within(actor_of(request).warehouse_codes)):
        raise PermissionDenied
