"""The route of incoming events, below ``/api/v1/``."""

from django.urls import path

from reservations.api.inbox import views

urlpatterns = [path("inbox", views.InboxView.as_view())]
