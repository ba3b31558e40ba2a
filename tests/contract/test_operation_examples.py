"""Each operation's examples are what the running views answer: its success, and a refusal of each documented code.

To record them after a change: ``RECORD_EXAMPLES=1 python -m pytest tests/contract/test_operation_examples.py``, then
``make fmt``.
"""

import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final

import jsonschema
import psycopg
import pytest
from django.conf import LazySettings, settings
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from audit import authentication
from config import problems
from config.openapi import examples
from inventory.api.events.reaches import forget_reaches
from inventory.services.catalogue.lookup import forget_catalogue
from tests.contract import scenes
from tests.contract.operations import Operation, document, documented_codes, operations, resolved
from tests.contract.scenes.derived import derived_scenes
from tests.contract.scenes.masking import Mask
from tests.contract.scenes.shared import SHARED
from tests.contract.scenes.stage import REQUEST_ID, SCENES, TENT, Asked, Scene, Stage

for _module in iter_modules(scenes.__path__):
    import_module(f"{scenes.__name__}.{_module.name}")

pytestmark = pytest.mark.django_db
FILE: Final = Path(settings.BASE_DIR) / examples.FILE
RECORDS: Final = "RECORD_EXAMPLES" in os.environ


def all_scenes(operation: Operation) -> dict[str, Scene]:
    """The scenes of an operation, by the status or code of their answers, in order."""
    own = SCENES.get(operation.id, {})
    return dict(sorted({**derived_scenes(operation, own), **own}.items()))


@pytest.fixture(scope="module")
def rival(django_db_setup: None, django_db_blocker: Any) -> Iterator[psycopg.Connection[Any]]:
    """Another session of the database."""
    with django_db_blocker.unblock(), psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
        yield session


def play(operation: Operation, scene: Scene, rival: psycopg.Connection[Any]) -> tuple[HttpResponse, dict[str, Any]]:
    """Send the request of a scene, and undo it. Returns the answer, and the example: both of them, masked."""
    for forget in (authentication.forget_cached_tokens, forget_catalogue, forget_reaches):
        forget()
    mask = Mask()
    undone = transaction.savepoint()
    with pytest.MonkeyPatch.context() as patch:
        stage = Stage(rival, patch)
        asked = scene(stage)
        path = address(operation, asked)
        response = stage.send(operation.method, path, asked)
    rival.execute("SELECT pg_advisory_unlock_all()")
    transaction.savepoint_rollback(undone)
    return response, example_of(operation, path, asked, response, mask)


def address(operation: Operation, asked: Asked) -> str:
    """The path and query of a request."""
    path = operation.path.format_map(asked.names)
    return f"{path}?{asked.query}" if asked.query else path


def example_of(operation: Operation, path: str, asked: Asked, response: HttpResponse, mask: Mask) -> dict[str, Any]:
    """A request and its answer, as JSON, without what differs from run to run."""
    request: dict[str, Any] = {"method": operation.method.upper(), "path": mask(path)}
    request |= {"headers": asked.headers} if asked.headers else {}
    request |= {"names": mask(asked.names)} if asked.names else {}
    if asked.body is not None:
        text = asked.body.decode() if isinstance(asked.body, bytes) else asked.body
        request["body"] = mask(text) if len(text) < 1000 else "…"
    answer: dict[str, Any] = {"status": response.status_code}
    if location := response.headers.get("Location"):
        answer["headers"] = {"Location": mask(location)}
    answer["body"] = mask(json.loads(response.content))
    return {"request": request, "answer": answer}


def outcome(response: HttpResponse) -> str:
    """The status of a success, the code of a refusal."""
    return str(response.status_code) if response.status_code < 300 else json.loads(response.content)["code"]


def kept() -> dict[str, dict[str, Any]]:
    """The recorded examples."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}  # type: ignore[no-any-return]


@pytest.mark.parametrize("operation", operations().values(), ids=lambda operation: operation.id)
def test_the_views_answer_as_the_examples_say(operation: Operation, rival: psycopg.Connection[Any]) -> None:
    made = {}
    for expected, scene in all_scenes(operation).items():
        response, example = play(operation, scene, rival)
        assert outcome(response) == expected.partition(" ")[0], (expected, response.content)
        require_documented(operation, response, example["answer"]["body"])
        made[expected] = example
    require_recorded(operation.id, made)


def require_recorded(name: str, made: dict[str, Any]) -> None:
    """Check that examples are those of the file, or write them into it."""
    if RECORDS:
        recorded = {**kept(), name: made}
        FILE.write_text(json.dumps(dict(sorted(recorded.items())), indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert made == kept().get(name, {})


def require_documented(operation: Operation, response: HttpResponse, body: Any) -> None:
    """Check that an answer has the documented schema and headers."""
    answer = resolved(operation.described["responses"][str(response.status_code)])
    media_type = response.headers["Content-Type"]
    schema = {**answer["content"][media_type]["schema"], "components": document()["components"]}
    jsonschema.validate(body, schema, jsonschema.Draft202012Validator)
    facts = set(document()["components"]["schemas"]["ProblemError"]["properties"])
    assert {name for fault in body.get("errors", ()) for name in fault} <= facts, operation.id
    for name in ("Location", "Retry-After", "X-Request-ID", "WWW-Authenticate"):
        if name in answer["headers"]:
            assert response.headers[name], (operation.id, name)


def test_each_operation_has_an_example_of_its_success_and_of_each_refusal() -> None:
    missing = {}
    for operation in operations().values():
        answers = operation.described["responses"]
        wanted = {status for status in answers if status < "300" and "application/json" in answers[status]["content"]}
        wanted |= set(documented_codes(operation)) - examples.SHARED
        if lacking := wanted - set(all_scenes(operation)):
            missing[operation.id] = sorted(lacking)
    assert missing == {}


def test_the_refusals_of_all_operations_are_as_their_examples_say(rival: psycopg.Connection[Any]) -> None:
    made = {}
    for code, (name, scene) in SHARED.items():
        operation = operations()[name]
        response, example = play(operation, scene, rival)
        assert outcome(response) == code, response.content
        require_documented(operation, response, example["answer"]["body"])
        made[code] = example
    made["request_timeout"] = timed_out()
    assert set(made) == examples.SHARED
    require_recorded(examples.OF_ALL, made)


def timed_out() -> dict[str, Any]:
    """The example of a body that came too slowly, which only a server can meet."""
    request = RequestFactory().post("/api/v1/inventory/reserve")
    request.META["inventory.request_id"] = REQUEST_ID
    response = problems.refused(request, 408)
    return {"answer": {"status": response.status_code, "body": json.loads(response.content)}}


def test_each_operation_refuses_what_it_can_refuse_without_looking_further(
    rival: psycopg.Connection[Any], settings: LazySettings
) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 0
    names = dict.fromkeys(("cartId", "reservationId", "transferId", "countId", "incidentId", "alertId"), "0")
    names |= {"productId": str(TENT), "warehouseId": "wh-001", "storeId": "main", "webhookId": "0"}
    for operation in operations().values():
        codes = documented_codes(operation)
        cheap = ["not_authenticated"]
        cheap += ["malformed", "too_large", "unsupported_media_type"] if "requestBody" in operation.described else []
        for code in cheap:
            assert code in codes, operation.id

            def sent(stage: Stage, code: str = code) -> Asked:
                return SHARED[code][1](stage)._replace(names=names)

            response, _ = play(operation, sent, rival)
            assert outcome(response) == code, (operation.id, code, response.content)
