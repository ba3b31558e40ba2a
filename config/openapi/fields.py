"""Properties and parameters of the OpenAPI document: descriptions, and ids in the same form wherever they occur."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from audit.api.contract import Code, ReservationId
from audit.api.scalars import scalar_schema
from audit.api.texts import OpaqueId
from audit.identifiers import ADJUSTMENT, ALERT, COUNT, HOOK, INCIDENT, MOVEMENT, RESERVATION, TRANSFER
from config.openapi.shapes import flat
from config.openapi.texts import PARAMETERS, PROPERTIES

_UUIDS: Final = ("productId", "variantId")
_CODES: Final = ("warehouseId", "fromWarehouseId", "toWarehouseId", "storeId")
_CALLERS: Final = ("cartId", "orderId", "customerId")
_PREFIXES: Final = {
    "adjustmentId": ADJUSTMENT,
    "alertId": ALERT,
    "countId": COUNT,
    "incidentId": INCIDENT,
    "movementId": MOVEMENT,
    "reservationId": RESERVATION,
    "transferId": TRANSFER,
    "webhookId": HOOK,
}


def _form(kind: Any) -> dict[str, Any]:
    """The schema of a type of ids, without words."""
    schema = flat(msgspec.json.schema(kind, schema_hook=scalar_schema))
    return {key: value for key, value in schema.items() if key != "description"}


def _public(prefix: str) -> dict[str, Any]:
    schema = _form(ReservationId)
    return {**schema, "pattern": schema["pattern"].replace(f"{RESERVATION}-", f"{prefix}-")}


_FORMS: Final = {
    **{name: {"type": "string", "format": "uuid"} for name in _UUIDS},
    **dict.fromkeys(_CODES, _form(Code)),
    **dict.fromkeys(_CALLERS, _form(OpaqueId)),
    **{name: _public(prefix) for name, prefix in _PREFIXES.items()},
}
"""The form of each kind of id, by the name of its properties and parameters."""


def complete_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A component's schema, flat, with each of its properties described, and with its ids in their form."""
    schema = flat(schema)
    if "description" in schema:
        schema["description"] = _text(schema["description"])
    if "properties" in schema:
        schema["properties"] = {
            name: _described(_formed(each, name), PROPERTIES.get(name)) for name, each in schema["properties"].items()
        }
    return schema


def complete_parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """A parameter with its description beside its schema, and in a path with the form of its id."""
    name = parameter["name"]
    schema = flat(_FORMS[name] if parameter["in"] == "path" else parameter["schema"])
    schema = _described(schema, parameter.get("description") or PARAMETERS.get(name))
    described = {"description": schema.pop("description")} if "description" in schema else {}
    return {**parameter, "schema": schema, **described}


def _text(docstring: str) -> str:
    """A struct's docstring as Markdown, a line for each paragraph."""
    paragraphs = docstring.replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _formed(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A property's schema; in the form of its kind of id, if it is one and its type alone is known."""
    is_text = schema.get("type") in ("string", ["string", "null"])
    return {**_FORMS.get(name, {}), **schema} if is_text and not schema.keys() & _NARROWER else schema


_NARROWER: Final = {"format", "maxLength", "minLength", "pattern"}


def _described(schema: Mapping[str, Any], shared: str | None) -> dict[str, Any]:
    """A schema with its description: its own or the shared one, what its type says, and its default.

    With ``default``, generators of TypeScript have callers send optional fields, and those of Python send them unasked.
    """
    default = schema.get("default")
    parts = [schema.get("description") or shared, schema.get("$comment")]
    if default not in (None, "", []):
        parts.append(f"If omitted: `{json.dumps(default)}`.")
    text = " ".join(part for part in parts if part)
    rest = {key: value for key, value in schema.items() if key not in ("$comment", "default", "description")}
    return {**rest, "description": text} if text else rest
