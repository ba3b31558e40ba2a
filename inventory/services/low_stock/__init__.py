"""Services of low stock and its alerts."""
