"""Console pages of the catalogue: products, warehouses, stores."""
