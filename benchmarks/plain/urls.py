"""The routes."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.plain import views


def ready(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


urlpatterns = [
    path("health/ready", ready),
    path("reserve", views.ReserveView.as_view()),
    path("extend", views.ExtendView.as_view()),
    path("release", views.ReleaseView.as_view()),
    path("consume", views.ConsumeView.as_view()),
    path("check-availability", views.CheckAvailabilityView.as_view()),
    path("adjust", views.AdjustView.as_view()),
    path("carts/<str:cart_id>", views.BasketView.as_view()),
    path("products/<int:product_id>", views.ProductView.as_view()),
    path("reservations/<int:reservation_id>", views.ReservationView.as_view()),
    path("low-stock", views.LowStockView.as_view()),
]
