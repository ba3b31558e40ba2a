"""Routes of counts of stock."""
