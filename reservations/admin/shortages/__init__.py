"""Console pages of shortage incidents."""
