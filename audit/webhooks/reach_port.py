"""The port by which webhooks look up the warehouses of stores. ``inventory`` installs the function when its app is
ready."""

from collections.abc import Callable, Sequence

from django.core.exceptions import ImproperlyConfigured

from audit.feed.selecting import Reach

ReachOf = Callable[[Sequence[str]], Reach | None]
_installed: list[ReachOf] = []


def install(reach_of: ReachOf) -> None:
    """Set the function that returns the reach of stores by their codes, and None (all stores) without codes."""
    _installed[:] = [reach_of]


def reach_of(store_codes: Sequence[str]) -> Reach | None:
    """The stores and their warehouses. Raises ImproperlyConfigured: without the function nothing may be sent."""
    if not _installed:
        raise ImproperlyConfigured("No package has installed the reach of stores.")
    return _installed[0](store_codes)
