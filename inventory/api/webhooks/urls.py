"""The routes of webhooks, below ``/api/v1/``."""

from django.urls import path

from inventory.api.webhooks import views

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view()),
    path("webhooks/<str:webhook_id>", views.WebhookView.as_view()),
    path("webhooks/<str:webhook_id>/attempts", views.WebhookAttemptsView.as_view()),
    path("webhooks/<str:webhook_id>/test", views.WebhookTestView.as_view()),
    path("webhooks/<str:webhook_id>/resend", views.WebhookResendView.as_view()),
    path("webhooks/<str:webhook_id>/rotate", views.WebhookRotateView.as_view()),
]
