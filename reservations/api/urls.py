"""The routes of holds, below ``/api/v1/inventory/``."""

from django.urls import path

from reservations.api import reconciliation_views, views

urlpatterns = [
    path("check-availability", views.CheckAvailabilityView.as_view()),
    path("reserve", views.ReserveView.as_view()),
    path("extend", views.ExtendView.as_view()),
    path("release", views.ReleaseView.as_view()),
    path("consume", views.ConsumeView.as_view()),
    path("carts/<str:cart_id>", views.CartView.as_view()),
    path("reservations", views.ReservationsView.as_view()),
    path("reservations/<str:reservation_id>", views.ReservationView.as_view()),
    path("reconciliation", reconciliation_views.ReconciliationView.as_view()),
]
