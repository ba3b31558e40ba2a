"""The canary: every minute a unit of a hidden product is reserved, consumed and returned, as a shop would do it.

Whether it succeeds, and how long it takes, is the service's own indicator: it notices what stops shops, whatever the
cause. Its product, warehouse, store and level (``audit.hidden``) are in no list and no event, and each run deletes its
own documents, so that nothing piles up.
"""

from reservations.services.canary.running import Outcome, run_canary

__all__ = ["Outcome", "run_canary"]
