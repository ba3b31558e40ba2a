"""The OpenAPI document is complete and valid, and its page loads nothing from other hosts."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from config import openapi
from config.documents.generated import openapi_text
from config.problems import codes
from tests.contract.problems import problem

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - what drf-spectacular writes

    found: dict[str, Any] = yaml.safe_load(openapi_text())
    return found


def get(path: str) -> Any:
    return Client(headers={"Host": "localhost"}).get(path)


def test_what_is_served_is_the_document_of_the_repository_and_nothing_is_generated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(SchemaGenerator, "get_schema")
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(get, ["/api/schema/"] * 2)
    written = (Path(settings.BASE_DIR) / openapi.DOCUMENT).read_bytes()
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content == written
    assert first.headers["Content-Type"].startswith("application/vnd.oai.openapi")


def test_the_image_has_the_document() -> None:
    """``.dockerignore`` names what goes into the image."""
    assert f"!{openapi.DOCUMENT}" in (Path(settings.BASE_DIR) / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_the_document_and_its_page_can_be_switched_off(path: str, settings: Any) -> None:
    assert get(path).status_code == 200
    settings.API_DOCS = False
    problem(get(path), 404)


def everything(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield value
    for child in children:
        yield from everything(child)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate_schema(document)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [found["$ref"] for found in everything(document) if "$ref" in found]
    assert references
    for reference in references:
        place: Any = document
        for name in reference.removeprefix("#/").split("/"):
            assert name in place, reference
            place = place[name]


def test_schemas_are_named_for_people(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])
    assert {"ReserveRequest", "Availability", "AvailabilityRequest", "ConsumeRequest", "Movement"} <= names
    assert not [name for name in names if re.search(r"(In|Out|Patch)$", name)]


def test_two_schemas_never_share_a_name() -> None:
    with pytest.raises(ValueError, match="Two schemas would have the name FreezeRequest"):
        openapi._name_schemas({"FreezeRequest": {}, "FreezeIn": {}})


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern) and path.startswith("api/v1/"):
            for method in ("get", "post", "put", "patch", "delete"):
                if hasattr(entry.callback.view_class, method):  # type: ignore[attr-defined]
                    yield method, "/" + re.sub(r"<[\w-]+:(\w+)>", "{}", path)


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = {
        (method, re.sub(r"{\w+}", "{}", path)) for path, methods in document["paths"].items() for method in methods
    }
    assert described == set(routes(get_resolver()))


def test_every_operation_names_its_refusals_and_its_answer(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            assert {"400", "401", "403", "429", "500", "503"} <= set(answers), (method, path)
            assert {"200", "201", "202"} & set(answers), (method, path)
            assert ("415" in answers) is ("requestBody" in operation), (method, path)
            assert ("413" in answers) is (method != "get"), (method, path)
            for status, answer in answers.items():
                success = "text/event-stream" if path.endswith("/events/stream") else "application/json"
                expected = success if status < "300" else "application/problem+json"
                content = resolved(document, answer).get("content", {})
                assert list(content) == ([] if status == "304" else [expected]), (method, path, status)
            assert operation["security"] == [{"token": []}]


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A part of the document, or what it refers to."""
    for name in part.get("$ref", "").removeprefix("#/").split("/"):
        document = document[name] if name else part
    return document


def codes_in(document: dict[str, Any], answer: dict[str, Any]) -> set[str]:
    """The codes of an answer's problem."""
    content = resolved(document, answer)["content"]["application/problem+json"]
    code = resolved(document, content["schema"])["properties"]["code"]
    assert code["type"] == "string"
    return set(code["enum"])


def test_each_refusal_has_the_codes_of_its_status_and_no_others(document: dict[str, Any]) -> None:
    statuses, found = codes(), set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    named = codes_in(document, answer)
                    assert named, (operation["operationId"], status)
                    assert {str(statuses[code]) for code in named} == {status}, operation["operationId"]
                    found |= named
    assert found == set(statuses) - {"method_not_allowed", "misdirected"}  # No operation that exists answers these.


def test_every_answer_names_its_headers(document: dict[str, Any]) -> None:
    by_status = {"201": "Location", "401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    for methods in document["paths"].values():
        for operation in methods.values():
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
            for status, answer in operation["responses"].items():
                headers = resolved(document, answer)["headers"]
                assert "X-Request-ID" in headers
                assert by_status.get(status, "X-Request-ID") in headers, (operation["operationId"], status)
                assert ("Idempotent-Replayed" in headers) is (keyed and status < "300"), operation["operationId"]


def test_every_command_takes_an_idempotency_key_and_no_read_does(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
            # Each event that is received has an id of its own instead.
            assert keyed is (method != "get" and not path.endswith(("check-availability", "/inbox"))), (method, path)


def test_path_parameters_are_named_as_bodies_name_things(document: dict[str, Any]) -> None:
    named = {name for path in document["paths"] for name in re.findall(r"{(\w+)}", path)}
    assert named == {
        "productId",
        "warehouseId",
        "storeId",
        "cartId",
        "reservationId",
        "transferId",
        "alertId",
        "countId",
        "incidentId",
        "webhookId",
    }


def test_the_page_for_people_asks_no_other_machine() -> None:
    page = Client(headers={"Host": "localhost"}).get("/api/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", text)
    assert not re.findall(r"""["'(](?:https?:)?//[^"')]+""", text)


def test_the_document_is_made_without_a_warning(tmp_path: Path) -> None:
    target = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))
    assert target.read_text().startswith("openapi: 3.")
