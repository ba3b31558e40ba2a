"""Services of availability."""
