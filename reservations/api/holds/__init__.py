"""Routes of holds."""
