"""Services of holds."""
