"""What makes the generated document say what api.md says."""

import re
from typing import Any

from audit.schema import components


def only_the_current_version(endpoints: list[Any]) -> list[Any]:
    """Leave out ``/api/inventory/…``, which answers older callers as ``/api/v1/inventory/…`` does."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def add_components(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the schemas of the bodies, say that bodies are needed, and name path parameters as the bodies name things."""
    result["components"].setdefault("schemas", {}).update(components())
    result["paths"] = {_camel(path): operations for path, operations in result["paths"].items()}
    for operations in result["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["name"] = _camel(parameter["name"])
    return result


def _camel(text: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), text)
