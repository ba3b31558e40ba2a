"""The routes of the catalogue, below ``/api/v1/``."""

from django.urls import path

from inventory.api.catalogue import freezing_views
from inventory.api.catalogue import views as catalogue_views

urlpatterns = [
    path("products", catalogue_views.ProductsView.as_view()),
    path("products/<any-case-uuid:product_id>", catalogue_views.ProductView.as_view()),
    path("products/<any-case-uuid:product_id>/freeze", freezing_views.ProductFreezeView.as_view()),
    path("products/<any-case-uuid:product_id>/unfreeze", freezing_views.ProductUnfreezeView.as_view()),
    path("warehouses", catalogue_views.WarehousesView.as_view()),
    path("warehouses/<str:warehouse_id>", catalogue_views.WarehouseView.as_view()),
    path("warehouses/<str:warehouse_id>/freeze", freezing_views.WarehouseFreezeView.as_view()),
    path("warehouses/<str:warehouse_id>/unfreeze", freezing_views.WarehouseUnfreezeView.as_view()),
    path("stores", catalogue_views.StoresView.as_view()),
    path("stores/<str:store_id>", catalogue_views.StoreView.as_view()),
    path("stores/<str:store_id>/freeze", freezing_views.StoreFreezeView.as_view()),
    path("stores/<str:store_id>/unfreeze", freezing_views.StoreUnfreezeView.as_view()),
]
