"""The routes of the catalogue, below ``/api/v1/``."""

from django.urls import path

from inventory.api import views

urlpatterns = [
    path("products", views.ProductsView.as_view()),
    path("products/<any-case-uuid:product_id>", views.ProductView.as_view()),
    path("products/<any-case-uuid:product_id>/freeze", views.ProductFreezeView.as_view()),
    path("products/<any-case-uuid:product_id>/unfreeze", views.ProductUnfreezeView.as_view()),
    path("warehouses", views.WarehousesView.as_view()),
    path("warehouses/<str:warehouse_id>", views.WarehouseView.as_view()),
    path("warehouses/<str:warehouse_id>/freeze", views.WarehouseFreezeView.as_view()),
    path("warehouses/<str:warehouse_id>/unfreeze", views.WarehouseUnfreezeView.as_view()),
    path("stores", views.StoresView.as_view()),
    path("stores/<str:store_id>", views.StoreView.as_view()),
    path("stores/<str:store_id>/freeze", views.StoreFreezeView.as_view()),
    path("stores/<str:store_id>/unfreeze", views.StoreUnfreezeView.as_view()),
]
