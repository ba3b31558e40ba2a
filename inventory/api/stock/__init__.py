"""Routes of stock levels and what changes them."""
