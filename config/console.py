"""The console's site and its sidebar."""

from collections.abc import ItemsView
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qsl

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.auth.signals import user_login_failed
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]
    """Django's admin site as the staff console."""

    site_title = site_header = _("Stockroom")
    index_title = _("Dashboard")
    site_url = None  # The page at / leads here.
    empty_value_display = "–"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Leave out unfold's search for apps and models: it isn't shown, and needs a cache that may be unavailable.
        Leave out Django's redirect to an object's own page, which no object has."""
        kept = [url for url in super().get_urls() if getattr(url, "name", None) not in {"search", "view_on_site"}]
        own = [
            path("session/", self.session, name="session"),
            path("news/", self.admin_view(self.news), name="news"),
            path("find/", self.admin_view(self.find), name="find"),
            *self._export_urls(),
        ]
        return [*own, *kept]

    def _export_urls(self) -> list[URLPattern]:
        """The page of a person's own exports. The ends of the files' addresses are those that ``lanes`` knows."""
        from audit.console.large_exports import pages  # noqa: PLC0415 - settings are read before apps are there

        return [
            path("exports/", self.admin_view(pages.answer_exports), name="exports"),
            path("exports/<uuid:export_id>/export.<str:kind>", self.admin_view(pages.answer_file), name="export_file"),
            path("exports/<uuid:export_id>/cancel/", self.admin_view(pages.answer_cancel), name="export_cancel"),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add ``menu_title``, the menu's title of the open list (empty on pages of rows); for a member of staff also
        keyboard shortcuts and the buttons of phones."""
        from config.shortcuts import quick, shortcuts  # noqa: PLC0415 - settings are read before apps are there

        context: dict[str, Any] = super().each_context(request)
        context["menu_title"] = _list_title(request)
        if context["has_permission"]:
            context |= {"shortcuts": shortcuts(request), "quick": quick(request)}
        return context

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The models of one app. Of all apps, Django's list is left empty: it would be read for every page, and the
        sidebar shows ``navigation`` instead."""
        return list(super().get_app_list(request, app_label)) if app_label else []

    def session(self, request: HttpRequest) -> HttpResponse:
        """The id of the account that is logged in, and a token for forms, as JSON: ``session.js`` asks before it sends
        a form. The id is empty for somebody who may not use the console."""
        account = str(request.user.pk) if self.has_permission(request) else ""
        return JsonResponse({"account": account, "token": get_token(request)})

    def news(self, request: HttpRequest) -> HttpResponse:
        """A long poll for whether something has changed, which lists that refresh themselves send."""
        from config.news import answer_news  # noqa: PLC0415 - settings are read before apps are there

        return answer_news(request)

    def find(self, request: HttpRequest) -> HttpResponse:
        """The search for anything, by a text."""
        from config.search import answer_search  # noqa: PLC0415 - settings are read before apps are there

        return answer_search(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Guessing the old password, in a session that was left open, is limited as logging in is."""
        from axes.handlers.proxy import AxesProxyHandler  # noqa: PLC0415 - settings are read before apps are there

        from config import problems  # noqa: PLC0415

        credentials = {"username": request.user.get_username()}
        if request.method == "POST" and not AxesProxyHandler.is_allowed(request, credentials):
            return problems.locked_out(request)
        response: HttpResponse = super().password_change(request, extra_context)
        if "old_password" in getattr(response, "context_data", {}).get("form", Form()).errors:
            user_login_failed.send(sender=__name__, credentials=credentials, request=request)
        return response


class ConsoleConfig(SimpleAdminConfig):
    """Django's admin app, with the console as its site. Pages are loaded with the routes, which workers don't need."""

    default_site = "config.console.ConsoleSite"

    def ready(self) -> None:
        """Load the Celery application, too: a process that hasn't sends its tasks to Celery's default broker."""
        from config import tracing  # noqa: PLC0415 - reads the settings, and so do the next
        from config.metrics import programs  # noqa: PLC0415

        super().ready()
        import_module("config.celery")
        programs.prepare()
        tracing.prepare()


@dataclass(frozen=True, slots=True)
class MenuItem:
    """A line of the sidebar. Users who may view ``model`` ("app.model") see it; ``query`` filters its list.

    ``page`` begins the addresses below the list that belong to this line rather than to another one of the same model.
    """

    title: Promise
    icon: str
    model: str
    query: str = ""
    page: str = ""

    @property
    def link(self) -> str:
        """The address of its list, without the query."""
        return reverse(f"admin:{self.model.replace('.', '_')}_changelist")

    def narrows(self, request: HttpRequest) -> bool:
        """Whether the open page is this line's ``page``, or its list with this line's filter."""
        if self.page and request.path.startswith(self.link + self.page):
            return True
        return bool(self.query) and request.path == self.link and _pairs(self.query) <= request.GET.dict().items()


def _pairs(query: str) -> ItemsView[str, str]:
    return dict(parse_qsl(query.removeprefix("?"))).items()


_DAY: Final = (
    MenuItem(_("Stock"), "inventory_2", "inventory.stocklevel"),
    MenuItem(_("Reservations"), "shopping_cart", "reservations.reservation"),
    MenuItem(_("Receiving"), "input", "inventory.movement", "?type__exact=RECEIPT", "receive/"),
    MenuItem(_("Transfers"), "local_shipping", "inventory.transfer"),
    MenuItem(_("Counts"), "checklist", "inventory.stockcount"),
    MenuItem(_("Incidents"), "report", "reservations.shortageincident", "?status__exact=OPEN"),
    MenuItem(_("Alerts"), "notifications", "inventory.lowstockalert"),
)
_TRAIL: Final = (
    MenuItem(_("Movements"), "swap_vert", "inventory.movement"),
    MenuItem(_("Documents"), "receipt_long", "inventory.stockdocument"),
    MenuItem(_("Audit"), "history", "audit.auditentry"),
    MenuItem(_("Reconciliation"), "balance", "inventory.reconciliationfinding"),
    MenuItem(_("Events"), "outbox", "audit.outboxevent"),
    MenuItem(_("Received events"), "move_to_inbox", "reservations.receivedevent"),
    MenuItem(_("Dead letters"), "unsubscribe", "reservations.deadletter", "?status__exact=WAITING"),
    MenuItem(_("Webhook attempts"), "outgoing_mail", "audit.webhookattempt"),
    MenuItem(_("Idempotency keys"), "key_vertical", "audit.idempotencykey"),
)
_CATALOGUE: Final = (
    MenuItem(_("Products"), "category", "inventory.product"),
    MenuItem(_("Warehouses"), "warehouse", "inventory.warehouse"),
    MenuItem(_("Stores"), "storefront", "inventory.store"),
    MenuItem(_("Reasons"), "label", "inventory.adjustmentreason"),
)
_ACCESS: Final = (
    MenuItem(_("API clients"), "api", "audit.apiclient"),
    MenuItem(_("API tokens"), "key", "audit.apitoken"),
    MenuItem(_("Webhooks"), "webhook", "audit.webhooksubscription"),
    MenuItem(_("People"), "group", "auth.user"),
    MenuItem(_("Groups"), "shield_person", "auth.group"),
)
_ENTRIES: Final = (*_DAY, *_TRAIL, *_CATALOGUE, *_ACCESS)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar's lines that this user may see, under headings; empty headings are left out."""
    dashboard = {"title": _("Dashboard"), "icon": "dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [
        {"title": None, "items": [dashboard, *_allowed(request, _DAY)]},
        {"title": _("History"), "items": _allowed(request, _TRAIL)},
        {"title": _("Catalogue"), "items": _allowed(request, _CATALOGUE)},
        {"title": _("Access"), "items": _allowed(request, _ACCESS)},
    ]
    return [{**group, "separator": False, "collapsible": False} for group in groups if group["items"]]


def _allowed(request: HttpRequest, entries: tuple[MenuItem, ...]) -> list[dict[str, Any]]:
    allowed = []
    for entry in entries:
        model_admin = _site()._registry.get(apps.get_model(entry.model))
        if model_admin is None or not model_admin.has_view_permission(request):
            continue
        shown = {"title": entry.title, "icon": entry.icon, "link": entry.link + entry.query}
        allowed.append({**shown, "active": _open_entry(request, entry) is entry})
    return allowed


def _open_entry(request: HttpRequest, entry: MenuItem) -> MenuItem | None:
    """The line of the open page, among those of the same model; None on a page of another model."""
    if not request.path.startswith(entry.link):
        return None
    same = [other for other in _ENTRIES if other.model == entry.model]
    return next((other for other in same if other.narrows(request)), None) or min(same, key=lambda other: other.query)


def _list_title(request: HttpRequest) -> Promise | str:
    entries = (_open_entry(request, entry) for entry in _ENTRIES)
    found = (entry for entry in entries if entry and (request.path == entry.link or entry.narrows(request)))
    return next((entry.title for entry in found), "")


def _site() -> AdminSite:
    from django.contrib import admin  # noqa: PLC0415 - settings are read before apps are loaded

    return admin.site
