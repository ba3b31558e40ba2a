"""The routes of holds, and of what may break them, below ``/api/v1/inventory/``."""

from django.urls import path

from reservations.api import adjust_view, count_views, explain_views, incident_views, reconciliation_views, views

urlpatterns = [
    path("check-availability", views.CheckAvailabilityView.as_view()),
    path("reserve", views.ReserveView.as_view()),
    path("extend", views.ExtendView.as_view()),
    path("release", views.ReleaseView.as_view()),
    path("consume", views.ConsumeView.as_view()),
    path("carts/<str:cart_id>", views.CartView.as_view()),
    path("reservations", views.ReservationsView.as_view()),
    path("reservations/<str:reservation_id>", views.ReservationView.as_view()),
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
