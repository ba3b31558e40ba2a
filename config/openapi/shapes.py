"""Schemas in the forms that client generators understand.

msgspec writes a value that may be null as ``anyOf``, and a choice without its type. Generators make unnamed unions of
the one, and some leave out operations with the other.
"""

from collections.abc import Iterator
from typing import Any, Final

_NULL: Final = {"type": "null"}
_ENDS_BEFORE_A_LINE_BREAK: Final = r"(?!\n)$"
"""How patterns end for Python, in which ``$`` also matches before a last line break. Elsewhere ``$`` alone is the end,
and RE2 has no look-ahead."""
_TYPES: Final = {bool: "boolean", int: "integer", str: "string"}
_NULLABLE: Final = "nullable-reference"


def flat(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema and all within it without ``anyOf``, with a type beside each choice, and with patterns that RE2 takes.

    Raises ValueError for a union of several types.
    """
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: flat(each) for name, each in schema["properties"].items()}
    for key in ("items", "additionalProperties", "contentSchema"):
        if isinstance(schema.get(key), dict):
            schema[key] = flat(schema[key])
    if "anyOf" in schema:
        schema = _nullable(schema)
    if "enum" in schema:
        schema = _choice(schema)
    if "pattern" in schema:
        schema["pattern"] = schema["pattern"].replace(_ENDS_BEFORE_A_LINE_BREAK, "$")
    return schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """A value that may be null: its schema with null among its types; a reference with a mark for ``settle_nulls``."""
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    parts = [part for part in schema["anyOf"] if part != _NULL]
    if len(parts) != 1 or parts == schema["anyOf"]:
        raise ValueError(f"Generators have no name for a union: {schema}")
    value = flat(parts[0])
    if "$ref" in value:
        return {**value, **rest, _NULLABLE: True}
    if "enum" in value:
        value["enum"] = [*value["enum"], None]
    return {**value, "type": [value["type"], "null"], **rest}


def _choice(schema: dict[str, Any]) -> dict[str, Any]:
    """A choice with the type of its values; a flag that has only one value is a constant."""
    (kind,) = {_TYPES[type(value)] for value in schema["enum"] if value is not None}
    if kind == "boolean":
        (schema["const"],) = schema.pop("enum")
    return {"type": kind, **schema}


def settle_nulls(document: dict[str, Any]) -> None:
    """Add null to the types of the schemas that a property may have null instead of, in place.

    Raises ValueError if a schema is null in one place and never in another: generators would call both nullable.
    """
    found = [(each["$ref"].rpartition("/")[2], each.pop(_NULLABLE, False)) for each in _references(document)]
    nullable = {name for name, is_nullable in found if is_nullable}
    if mixed := sorted(nullable & {name for name, is_nullable in found if not is_nullable}):
        raise ValueError(f"Null in one place, never in another: {', '.join(mixed)}. Each place needs its own struct.")
    for name in nullable:
        document["components"]["schemas"][name]["type"] = ["object", "null"]


def _references(part: Any) -> Iterator[dict[str, Any]]:
    """The references in a part of the document."""
    if isinstance(part, dict) and "$ref" in part:
        yield part
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _references(child)
