"""Console pages of stock levels and what changes them."""
