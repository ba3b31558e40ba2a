"""The pages of the console about holds and what they stand against, a file for each subject."""

from reservations.admin import counts, incidents, reservations, stock

__all__ = ["counts", "incidents", "reservations", "stock"]
