"""Console pages of holds."""
