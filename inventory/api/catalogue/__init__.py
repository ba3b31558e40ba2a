"""Routes of the catalogue: products, warehouses, stores."""
