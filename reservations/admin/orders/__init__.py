"""Console pages of incoming events."""
