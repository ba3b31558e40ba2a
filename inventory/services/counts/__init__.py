"""Services of counts of stock."""
