"""The OpenAPI document's words and forms are those that linters and generators of clients understand."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml

from audit.api.contract import Answer, Body, Code, ReservationId
from audit.api.schema import components, describe
from config.documents.generated import openapi_text
from config.openapi import shapes, texts
from config.openapi.names import _PARTICULAR, document_name
from config.openapi.tags import TAGS, tag_of
from inventory.api.webhooks.contract import EventId, Types, Url
from reservations.api.shortages.contract import CauseId

_ID = "0190a1b2-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(openapi_text(), Loader=yaml.CSafeLoader)
    return found


@pytest.fixture(scope="module")
def schemas(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def parameters(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            yield operation["operationId"], parameter


def within(schema: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema, and those of its properties and items."""
    yield place, schema
    for name, each in schema.get("properties", {}).items():
        yield from within(each, f"{place}.{name}")
    for key in ("items", "additionalProperties", "contentSchema"):
        if isinstance(schema.get(key), dict):
            yield from within(schema[key], f"{place}.{key}")
    for key in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(key, ()):
            yield from within(each, f"{place}.{key}")


def every_schema(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in document["components"]["schemas"].items():
        yield from within(schema, name)
    for name, header in document["components"].get("headers", {}).items():
        yield from within(header["schema"], name)
    for operation, parameter in parameters(document):
        yield from within(parameter["schema"], f"{operation}?{parameter['name']}")
    for _, operation in operations(document):
        answers = [answer.get("content", {}) for answer in operation["responses"].values()]
        for content in (operation.get("requestBody", {}).get("content", {}), *answers):
            for media_type, body in content.items():
                yield from within(body["schema"], f"{operation['operationId']} {media_type}")


def is_sentence(text: str) -> bool:
    return bool(re.match(r"[A-Z0-9`…]", text)) and text.endswith(".") and "  " not in text and "``" not in text


def test_the_document_says_whom_to_ask_where_the_service_is_and_how_it_is_licensed(document: dict[str, Any]) -> None:
    assert document["info"]["contact"]["name"]
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert document["servers"][0]["url"] == "/"
    assert all(is_sentence(server["description"]) for server in document["servers"])


def test_every_operation_has_one_of_the_described_tags_and_no_tag_is_unused(document: dict[str, Any]) -> None:
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert described == TAGS
    assert all(map(is_sentence, TAGS.values()))
    used = [operation["tags"] for _, operation in operations(document)]
    assert {tag for tags in used for tag in tags} == set(TAGS)
    assert {len(tags) for tags in used} == {1}


def test_a_path_without_a_tag_is_an_error() -> None:
    with pytest.raises(KeyError):
        tag_of("/api/v1/inventory/unheard-of/{productId}")


def test_no_schema_has_a_default(document: dict[str, Any]) -> None:
    assert not [place for place, schema in every_schema(document) if "default" in schema]


def test_defaults_are_in_the_descriptions(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    assert schemas["ExtendRequest"]["properties"]["minutes"]["description"].endswith("If omitted: `15`.")
    limits = [each for _, each in parameters(document) if each["name"] == "limit"]
    assert all(re.search(r"If omitted: `\d+`\.$", each["description"]) for each in limits)


def test_no_schema_is_a_union(document: dict[str, Any]) -> None:
    assert not [place for place, schema in every_schema(document) if schema.keys() & {"anyOf", "oneOf", "allOf"}]


def test_every_choice_has_the_type_of_its_values(document: dict[str, Any]) -> None:
    choices = [(place, schema) for place, schema in every_schema(document) if schema.keys() & {"enum", "const"}]
    assert choices
    kinds = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
    for place, schema in choices:
        allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        values = schema.get("enum", [schema.get("const")])
        assert {kinds[type(value)] for value in values} <= set(allowed), place
        assert ("null" in allowed) is (None in values) or "const" in schema, place


def test_every_pattern_is_one_that_re2_takes(document: dict[str, Any]) -> None:
    patterns = [(place, schema["pattern"]) for place, schema in every_schema(document) if "pattern" in schema]
    assert patterns
    for place, pattern in patterns:
        assert not re.search(r"\(\?[=!<>(]|\\[1-9zZA]|[*+?}]\+", pattern), (place, pattern)
        assert pattern.startswith("^"), place
        assert pattern.endswith("$"), place
        re.compile(pattern)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Code, "wh-001"),
        (ReservationId, f"res-{_ID}"),
        (EventId, f"ev-{_ID}"),
        (CauseId, f"cnt-{_ID}"),
        (Url, "https://example.com"),
        (Types, ["InventoryReservedEvent"]),
    ],
)
def test_what_has_a_pattern_takes_no_line_break_at_its_end(kind: Any, value: Any) -> None:
    with_break = [f"{value[0]}\n"] if isinstance(value, list) else f"{value}\n"
    assert msgspec.convert(value, kind) == value
    with pytest.raises(msgspec.ValidationError, match="regex"):
        msgspec.convert(with_break, kind)


def structs(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from structs(each)


def types_within(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    yield kind
    if isinstance(kind, msgspec.inspect.Metadata):
        yield from types_within(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        for each in kind.types:
            yield from types_within(each)
    if isinstance(kind, msgspec.inspect.ListType):
        yield from types_within(kind.item_type)


def fields() -> Iterator[tuple[str, str, list[msgspec.inspect.Type]]]:
    """The document's name of each struct of the API, its fields by their names in JSON, and the types in them."""
    for struct in {*structs(Answer), *structs(Body)}:
        if struct.__module__.startswith(("audit.api", "inventory.api", "reservations.api")):
            described = msgspec.inspect.type_info(struct)
            assert isinstance(described, msgspec.inspect.StructType)
            for field in described.fields:
                yield document_name(struct.__name__), field.encode_name, list(types_within(field.type))


def test_every_pattern_in_a_body_refuses_a_line_break_at_its_end() -> None:
    patterns = {
        kind.pattern
        for _, _, types in fields()
        for kind in types
        if isinstance(kind, msgspec.inspect.StrType) and kind.pattern
    }
    assert patterns
    assert all(pattern.endswith(r"(?!\n)$") for pattern in patterns)


def test_every_time_has_the_format_of_one(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    times = {
        (struct, name)
        for struct, name, types in fields()
        if struct in schemas
        and any(
            isinstance(kind, msgspec.inspect.DateTimeType)
            or (isinstance(kind, msgspec.inspect.CustomType) and kind.cls.__name__ == "Instant")
            for kind in types
        )
    }
    assert len(times) > 60
    for struct, name in times:
        assert schemas[struct]["properties"][name]["format"] == "date-time", (struct, name)
    for operation, parameter in parameters(document):
        if re.search(r"(^at|^since|^until|Since|Until|At)$", parameter["name"]):
            assert parameter["schema"]["format"] == "date-time", (operation, parameter["name"])


def test_ids_have_the_same_form_in_paths_and_in_bodies(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    in_paths = {each["name"]: each["schema"] for _, each in parameters(document) if each["in"] == "path"}
    assert len(in_paths) == 10
    for name, form in in_paths.items():
        assert form.keys() & {"format", "pattern", "maxLength"}, name
        twins = [
            (owner, each["properties"][name]) for owner, each in schemas.items() if name in each.get("properties", {})
        ]
        assert twins, name
        for owner, twin in twins:
            assert {**twin, **form, "type": twin["type"]} == twin, (owner, name)


def test_everything_is_described_in_whole_sentences(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    words = {
        **{
            f"{owner}.{name}": each
            for owner, one in schemas.items()
            for name, each in one.get("properties", {}).items()
        },
        **{f"{operation}?{each['name']}": each for operation, each in parameters(document)},
        **{operation["operationId"]: operation for _, operation in operations(document)},
        **{
            f"{operation['operationId']} {status}": answer
            for _, operation in operations(document)
            for status, answer in operation["responses"].items()
            if "$ref" not in answer
        },
        **document["components"]["responses"],
        **document["components"]["headers"],
        **schemas,
    }
    assert not {
        place: each.get("description") for place, each in words.items() if not is_sentence(each.get("description", ""))
    }


def test_summaries_say_what_an_operation_does(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        assert re.fullmatch(r"[A-Z][^\n]{3,100}[^.\s]", operation["summary"]), operation["operationId"]
        assert operation["summary"] != operation["description"].rstrip("."), operation["operationId"]


def test_the_tables_of_names_and_texts_have_no_more_than_the_document(document: dict[str, Any]) -> None:
    names = {name for schema in components().values() for name in schema.get("properties", {})}
    assert set(texts.PROPERTIES) <= names
    assert set(texts.PARAMETERS) <= {each["name"] for _, each in parameters(document)}
    assert set(_PARTICULAR) <= set(components())


def test_a_union_is_refused() -> None:
    with pytest.raises(TypeError, match="A body is a struct"):
        describe("either", "Either", answers={200: Answer | Body})
    with pytest.raises(ValueError, match="no name for a union"):
        shapes.flat({"anyOf": [{"type": "string"}, {"type": "integer"}]})


def test_what_is_null_in_one_place_alone_is_refused() -> None:
    nullable = {"anyOf": [{"$ref": "#/components/schemas/Freeze"}, {"type": "null"}]}
    one, other = shapes.flat({"properties": {"frozen": nullable}}), {"$ref": "#/components/schemas/Freeze"}
    document = {"components": {"schemas": {"Product": one, "Freeze": {"type": "object"}}}}
    shapes.settle_nulls(document)
    assert document["components"]["schemas"]["Freeze"]["type"] == ["object", "null"]  # type: ignore[comparison-overlap]
    assert json.dumps(document).count("nullable") == 0
    with pytest.raises(ValueError, match="Null in one place, never in another: Freeze"):
        shapes.settle_nulls({**document, "paths": [shapes.flat({"properties": {"frozen": nullable}}), other]})
