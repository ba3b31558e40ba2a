"""Console pages of counts of stock."""
