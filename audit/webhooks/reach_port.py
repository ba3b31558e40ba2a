"""What webhooks need of the catalogue: which warehouses the stores of a subscription sell from. ``inventory`` installs
it when it is ready."""

from collections.abc import Callable, Sequence

from django.core.exceptions import ImproperlyConfigured

from audit.feed.selecting import Reach

ReachOf = Callable[[Sequence[str]], Reach | None]
_installed: list[ReachOf] = []


def install(reach_of: ReachOf) -> None:
    """Set the function that gives the reach of stores by their codes; None for no codes, which are all stores."""
    _installed[:] = [reach_of]


def reach_of(store_codes: Sequence[str]) -> Reach | None:
    """The stores and their warehouses. Raises ImproperlyConfigured: without an answer nothing may be sent."""
    if not _installed:
        raise ImproperlyConfigured("No package has installed the reach of stores.")
    return _installed[0](store_codes)
