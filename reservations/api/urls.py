"""The routes of holds, availability and incidents, below ``/api/v1/inventory/``."""

from django.urls import path

from reservations.api.availability import explain_views
from reservations.api.availability import views as availability_views
from reservations.api.holds import cart_views
from reservations.api.holds import views as holds_views
from reservations.api.shortages import views as incident_views

urlpatterns = [
    path("check-availability", availability_views.CheckAvailabilityView.as_view()),
    path("reserve", holds_views.ReserveView.as_view()),
    path("extend", holds_views.ExtendView.as_view()),
    path("release", holds_views.ReleaseView.as_view()),
    path("consume", holds_views.ConsumeView.as_view()),
    path("carts/<str:cart_id>", cart_views.CartView.as_view()),
    path("reservations", holds_views.ReservationsView.as_view()),
    path("reservations/<str:reservation_id>", holds_views.ReservationView.as_view()),
    path("<any-case-uuid:product_id>/explain", explain_views.ExplainView.as_view()),
    path("incidents", incident_views.IncidentsView.as_view()),
    path("incidents/<str:incident_id>", incident_views.IncidentView.as_view()),
    path("incidents/<str:incident_id>/resolve", incident_views.ResolveIncidentView.as_view()),
]
