"""A store and an API client that all tests of a module share, as making them takes longer than a refused request."""

from collections.abc import Iterator
from typing import Any

import pytest

from audit.authentication import issue_token
from audit.models import AuditEntry
from inventory.models import StockLevel
from reservations.models import Reservation
from tests.conftest import Api
from tests.factories import make_client, make_store
from tests.rolling_back import shared_by_module


@pytest.fixture(scope="module")
def shared_api(django_db_setup: None, django_db_blocker: Any) -> Iterator[Api]:
    """A manager's API client. The default store is ``main``."""
    with shared_by_module(django_db_blocker):
        make_store("main", "wh-001", "wh-002")
        yield Api(issue_token(make_client()))


@pytest.fixture
def written_nothing(shared_api: Api, db: None) -> Iterator[None]:
    """Check at the end of the test that nothing was changed."""
    entries = AuditEntry.objects.count()
    yield
    assert AuditEntry.objects.count() == entries
    assert not Reservation.objects.exists()
    assert not StockLevel.objects.filter(reserved__gt=0).exists()
