"""The routes of the feed of events, below ``/api/v1/``."""

from django.urls import path

from inventory.api.events import views

urlpatterns = [
    path("events", views.EventsView.as_view()),
    path("events/stream", views.EventStreamView.as_view()),
]
