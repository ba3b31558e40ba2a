"""The OpenAPI document is complete and valid, and its page loads nothing from other hosts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.validation import validate_schema

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - what drf-spectacular writes

    response = Client(headers={"Host": "localhost"}).get("/api/schema/")
    assert response.status_code == 200
    found: dict[str, Any] = yaml.safe_load(response.content)
    return found


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
            assert {"400", "401", "403", "429", "503"} <= set(answers), (method, path)
            assert {"200", "201"} & set(answers), (method, path)
            assert ("415" in answers) is ("requestBody" in operation), (method, path)
            for status, answer in answers.items():
                expected = "application/json" if status < "300" else "application/problem+json"
                assert list(answer["content"]) == [expected], (method, path, status)
            assert operation["security"] == [{"token": []}]


def test_every_command_takes_an_idempotency_key_and_no_read_does(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
            assert keyed is (method != "get" and not path.endswith("check-availability")), (method, path)


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
