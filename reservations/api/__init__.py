"""The routes of holds."""
