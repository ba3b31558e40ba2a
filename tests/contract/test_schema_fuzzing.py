"""Schemathesis sends what the OpenAPI document allows and what it forbids; the answers are what the document says."""

from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Any

import pytest
import schemathesis
from django.conf import LazySettings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from audit.authentication import issue_token
from audit.roles import Role
from inventory.models import StockLevel
from tests.factories import hold, make_client, make_level, make_store
from tests.rolling_back import shared_by_module

handler = cache(WSGIHandler)


def application(environ: Any, start_response: Any) -> Any:
    """The service in this process, made when it is first asked."""
    return handler()(environ, start_response)


schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))  # type: ignore[no-untyped-call]
schema.config.update(base_url="http://localhost")
schema.app = application
OPERATIONS = [result.ok() for result in schema.get_all_operations()]


@pytest.fixture(scope="module", autouse=True)
def _stock(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with shared_by_module(django_db_blocker):
        make_store("0", "0", "00")
        hold((make_level(1000, "0"), 1), cart_id="0", order_id="0")
        yield


@pytest.fixture(autouse=True)
def _service(db: None, settings: LazySettings) -> Iterator[None]:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 0
    # As Django's own test client does: a request's end is not to close the connection that the test rolls back.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.label))
def test_the_service_answers_as_its_document_says(operation: Any, mode: GenerationMode) -> None:
    tokens = cycle([issue_token(make_client(role)) for role in Role])

    @seed(20260101)
    @settings(
        max_examples=6,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        # What a document can't say (which ids there are, what is in stock) may be refused: 409 and 422 are for that.
        # An event that can't be understood is a dead letter, which the answer names: the inbox refuses no other events.
        excluded = [positive_data_acceptance]
        if operation.path == "/api/v1/inbox":
            excluded.append(negative_data_rejection)
        # In this process nobody decompresses what is longer than 1 KiB.
        headers = {"Authorization": f"Bearer {next(tokens)}", "Accept-Encoding": "identity"}
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    answers()
    assert not StockLevel.objects.filter(reserved__lt=0).exists()
