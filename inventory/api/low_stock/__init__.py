"""Routes of low stock and its alerts."""
