"""The routes of holds, and of what may break them, below ``/api/v1/inventory/``."""

from django.urls import path

from inventory.api.bookkeeping import views as reconciliation_views
from reservations.api.availability import explain_views
from reservations.api.availability import views as availability_views
from reservations.api.counts import adjust_view
from reservations.api.counts import views as count_views
from reservations.api.holds import views as holds_views
from reservations.api.shortages import views as incident_views

urlpatterns = [
    path("check-availability", availability_views.CheckAvailabilityView.as_view()),
    path("reserve", holds_views.ReserveView.as_view()),
    path("extend", holds_views.ExtendView.as_view()),
    path("release", holds_views.ReleaseView.as_view()),
    path("consume", holds_views.ConsumeView.as_view()),
    path("carts/<str:cart_id>", holds_views.CartView.as_view()),
    path("reservations", holds_views.ReservationsView.as_view()),
    path("reservations/<str:reservation_id>", holds_views.ReservationView.as_view()),
    path("<any-case-uuid:product_id>/explain", explain_views.ExplainView.as_view()),
    path("reconciliation", reconciliation_views.ReconciliationView.as_view()),
    path("adjust", adjust_view.AdjustView.as_view()),
    path("counts", count_views.CountsView.as_view()),
    path("counts/<str:count_id>", count_views.CountView.as_view()),
    path("counts/<str:count_id>/lines", count_views.CountLinesView.as_view()),
    path("counts/<str:count_id>/preview", count_views.CountPreviewView.as_view()),
    path("counts/<str:count_id>/post", count_views.PostCountView.as_view()),
    path("counts/<str:count_id>/cancel", count_views.CancelCountView.as_view()),
    path("incidents", incident_views.IncidentsView.as_view()),
    path("incidents/<str:incident_id>", incident_views.IncidentView.as_view()),
    path("incidents/<str:incident_id>/resolve", incident_views.ResolveIncidentView.as_view()),
]
