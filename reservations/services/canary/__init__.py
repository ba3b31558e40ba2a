"""The canary: every minute a unit of a hidden product is reserved, consumed and returned, as a shop would do it.

Its success and duration show whether shops can buy: it notices whatever would stop them. Its product, warehouse, store
and level (``audit.hidden``) are in no list and no event, and each run deletes its own documents, so that nothing piles
up.
"""

from reservations.services.canary.running import Outcome, run_canary

__all__ = ["Outcome", "run_canary"]
