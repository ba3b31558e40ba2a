"""Services of transfers between warehouses."""
