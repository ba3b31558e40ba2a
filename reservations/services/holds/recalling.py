"""Decide a batch with the cached catalogue; if that is out of date, read the catalogue and decide once more."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from inventory.transactions import PATIENT, Patience
from reservations.services.holds import expiry


class CatalogueChanged(Exception):
    """The cached catalogue that a batch was decided with is out of date. Nothing was written."""


def with_cached_catalogue(
    work: Callable[..., list[Any]], requests: Sequence[Any], patience: Patience = PATIENT
) -> list[Any]:
    """``expiry.with_due_holds_freed`` for ``work(requests, may_recall=True)``, which may raise CatalogueChanged if the
    catalogue may come from the cache."""
    reading = partial(work, may_recall=False)
    try:
        return expiry.with_due_holds_freed(work, requests, patience, again=reading)
    except CatalogueChanged:
        return expiry.with_due_holds_freed(reading, requests, patience)
