"""The routes of stock levels, below ``/api/v1/inventory/``."""

from django.urls import path

from inventory.api import movement_views, views

urlpatterns = [
    path("adjust", views.AdjustView.as_view()),
    path("levels", views.LevelsView.as_view()),
    path("movements", movement_views.MovementsView.as_view()),
    path("<any-case-uuid:product_id>", views.ProductLevelsView.as_view()),
    path("<any-case-uuid:product_id>/levels/<str:warehouse_id>", views.LevelSettingsView.as_view()),
]
