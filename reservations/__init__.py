"""Reservations: who holds which stock until when, and the features that need both stock and holds."""
