"""All routes."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config import error_pages, openapi, problems

admin.autodiscover()
inventory_routes = [path("", include("reservations.api.urls")), path("", include("inventory.api.urls"))]

urlpatterns = [
    path("api/v1/inventory/", include(inventory_routes)),
    path("api/v1/", include("inventory.api.catalogue.urls")),
    path("api/v1/", include("inventory.api.events.urls")),
    path("api/v1/", include("reservations.api.inbox.urls")),
    path("api/v1/", include("inventory.api.webhooks.urls")),
    path("api/inventory/", include(inventory_routes)),
    path("api/schema/", openapi.schema, name="schema"),
    path("api/docs/", openapi.pages, name="docs"),
    path("api/", problems.no_such_route, {"path": ""}),
    path("api/<path:path>", problems.no_such_route),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("", error_pages.start),
    path("favicon.ico", error_pages.icon),
    path("<path:path>", error_pages.no_such_page),
]

handler400 = problems.bad_request
handler404 = problems.not_found
handler500 = problems.server_error
