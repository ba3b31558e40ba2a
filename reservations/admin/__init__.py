"""The console's pages about holds, a package for each subject. Importing it registers them."""

from reservations.admin.availability import level_page, recall_page
from reservations.admin.holds import lists as reservations
from reservations.admin.orders import letters
from reservations.admin.shortages import incidents

__all__ = ["incidents", "letters", "level_page", "recall_page", "reservations"]
