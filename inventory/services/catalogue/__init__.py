"""Services of the catalogue: products, warehouses, stores."""
