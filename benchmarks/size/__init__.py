"""A database at size: 100,000 products, 10,000,000 reservations and their history; and every read of it timed."""
