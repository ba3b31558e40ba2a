"""Products, warehouses, stores, stock levels and their movements, transfers, counts and low-stock alerts."""
