"""Checks whose changes are rolled back, so that many of them can share rows that take long to make."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction

from audit import authentication
from inventory.api.events.reaches import forget_reaches
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.stock import known_levels


def forget_all() -> None:
    """Clear the caches of tokens, of the catalogue, of reaches, of sold-out levels and of the dashboard."""
    cache.clear()
    authentication.forget_cached_tokens()
    forget_catalogue()
    forget_reaches()
    known_levels.forget_all()


@contextmanager
def rolled_back() -> Iterator[None]:
    """Begin with empty caches, as a test does, and roll back what is done inside."""
    forget_all()
    inside = transaction.atomic()
    inside._from_testcase = True  # As in a TestCase, so that the service's durable transactions may run inside.
    with inside:
        yield
        transaction.set_rollback(True)


@contextmanager
def shared_by_module(blocker: Any) -> Iterator[None]:
    """Keep the rows that are made in this context for all tests of a module. Each test rolls back only its own changes.

    For a module-scoped fixture whose rows all tests of the module need. ``blocker`` is pytest-django's
    ``django_db_blocker``.
    """
    with blocker.unblock(), rolled_back():
        yield


def check_each(names: Iterable[str], scene: Any, check: Callable[[str, Any], None]) -> None:
    """Check each name in a copy of the scene, and roll back what that changed. Raises all errors together."""
    failed: list[BaseException] = []
    for name in names:
        try:
            with rolled_back():
                check(name, copy.deepcopy(scene))
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the others are checked, too
            error.add_note(name)
            failed.append(error)
    if failed:
        raise BaseExceptionGroup("failed checks", failed)
