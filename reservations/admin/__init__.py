"""The pages of the console about holds, a file for each subject."""

from reservations.admin import counts, incidents, reservations

__all__ = ["counts", "incidents", "reservations"]
