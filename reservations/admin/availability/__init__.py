"""Console pages of availability."""
