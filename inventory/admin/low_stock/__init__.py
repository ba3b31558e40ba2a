"""Console pages of low stock and its alerts."""
