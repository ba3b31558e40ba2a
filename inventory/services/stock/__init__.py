"""Services of stock levels and what changes them."""
