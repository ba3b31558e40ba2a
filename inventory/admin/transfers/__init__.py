"""Console pages of transfers between warehouses."""
