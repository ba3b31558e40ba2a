"""The pages of the console about holds, a file for each subject."""

from reservations.admin import incidents, reservations

__all__ = ["incidents", "reservations"]
