"""Routes of transfers between warehouses."""
