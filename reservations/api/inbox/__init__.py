"""The route of incoming events."""
