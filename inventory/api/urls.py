"""The routes of stock, below ``/api/v1/inventory/``; for those of the catalogue see ``catalogue/urls.py``."""

from django.urls import path

from inventory.api.bookkeeping import views as reconciliation_views
from inventory.api.counts import views as count_views
from inventory.api.low_stock import views as low_stock_views
from inventory.api.stock import adjustment_views, movement_views, views
from inventory.api.transfers import views as transfer_views

urlpatterns = [
    path("alerts", low_stock_views.AlertsView.as_view()),
    path("alerts/<str:alert_id>/acknowledge", low_stock_views.AcknowledgeAlertView.as_view()),
    path("alerts/<str:alert_id>/snooze", low_stock_views.SnoozeAlertView.as_view()),
    path("counts", count_views.CountsView.as_view()),
    path("counts/<str:count_id>", count_views.CountView.as_view()),
    path("counts/<str:count_id>/lines", count_views.CountLinesView.as_view()),
    path("counts/<str:count_id>/preview", count_views.CountPreviewView.as_view()),
    path("counts/<str:count_id>/post", count_views.PostCountView.as_view()),
    path("counts/<str:count_id>/cancel", count_views.CancelCountView.as_view()),
    path("low-stock", low_stock_views.LowStockView.as_view()),
    path("adjust", adjustment_views.AdjustView.as_view()),
    path("levels", views.LevelsView.as_view()),
    path("movements", movement_views.MovementsView.as_view()),
    path("reconciliation", reconciliation_views.ReconciliationView.as_view()),
    path("transfer", transfer_views.TransferView.as_view()),
    path("transfer/<str:transfer_id>", transfer_views.OneTransferView.as_view()),
    path("transfer/<str:transfer_id>/send", transfer_views.SendTransferView.as_view()),
    path("transfer/<str:transfer_id>/receive", transfer_views.ReceiveTransferView.as_view()),
    path("transfer/<str:transfer_id>/redirect", transfer_views.RedirectTransferView.as_view()),
    path("transfer/<str:transfer_id>/cancel", transfer_views.CancelTransferView.as_view()),
    path("transfers", transfer_views.TransfersView.as_view()),
    path("<any-case-uuid:product_id>", views.ProductLevelsView.as_view()),
    path("<any-case-uuid:product_id>/levels/<str:warehouse_id>", views.LevelSettingsView.as_view()),
]
