"""The hooks that complete the generated OpenAPI document."""

import re
from typing import Any

from audit.api.schema import components, optional_bodies
from config.problems import codes


def only_the_current_version(endpoints: list[Any]) -> list[Any]:
    """Leave out ``/api/inventory/…``, which serves older callers the same as ``/api/v1/inventory/…``."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def add_components(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the schemas of the bodies, mark required bodies, list the codes of errors, and give path parameters the same
    names as in the bodies."""
    schemas = result["components"].setdefault("schemas", {})
    schemas.update(components())
    named = ", ".join(f"`{code}`" for code in sorted(codes()))
    schemas["Problem"]["properties"]["code"]["description"] = (
        f"What programs decide by. Codes may be added. Now: {named}."
    )
    result["paths"] = {_camel(path): operations for path, operations in result["paths"].items()}
    optional = optional_bodies()
    for operations in result["paths"].values():
        for operation in operations.values():
            if body := operation.get("requestBody"):
                body["required"] = _name_of(body) not in optional
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["name"] = _camel(parameter["name"])
    return result


def _name_of(body: dict[str, Any]) -> str:
    return str(body["content"]["application/json"]["schema"]["$ref"]).rpartition("/")[2]


def _camel(text: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), text)
