"""The examples of the OpenAPI document: what the views were seen to answer, from one file that a test records."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings

FILE: Final = "docs/reference/examples.json"
"""The recorded examples, by operation, and by status or code of the answer; from the folder of the code."""
OF_ALL: Final = "(all)"
"""The place in the file of the refusals that all operations share."""
SHARED: Final = frozenset(
    {
        "busy",
        "internal_error",
        "invalid",
        "malformed",
        "not_authenticated",
        "permission_denied",
        "request_timeout",
        "throttled",
        "too_large",
        "unsupported_media_type",
    }
)
"""Codes whose example is the same for all operations."""


@cache
def _kept() -> dict[str, dict[str, Any]]:
    path = Path(settings.BASE_DIR) / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def add_examples(document: dict[str, Any]) -> None:
    """Add to each operation the example of its request, of its success and of each refusal."""
    for operations in document["paths"].values():
        for operation in operations.values():
            found = _kept().get(operation["operationId"], {})
            _add_request(operation, found)
            for status, answer in operation["responses"].items():
                _add_answers(answer, [name for name, each in found.items() if _status(each) == status], found)
    shared = _kept().get(OF_ALL, {})
    for answer in document["components"]["responses"].values():
        ((_, content),) = answer["content"].items()
        name = content["schema"]["$ref"].rpartition("/")[2]
        codes = document["components"]["schemas"][name]["properties"]["code"]["enum"]
        _add_answers(answer, [code for code in codes if code in shared], shared)


def _status(example: dict[str, Any]) -> str:
    return str(example["answer"]["status"])


def _add_request(operation: dict[str, Any], found: dict[str, Any]) -> None:
    """The requests of the successes, by media type. Of several the last: 201 rather than 200."""
    content = operation.get("requestBody", {}).get("content", {})
    names: dict[str, str] = {}
    for example in (found[name] for name in sorted(found) if name < "300"):
        request = example["request"]
        media_type = request.get("headers", {}).get("Content-Type", "application/json")
        if "body" in request and media_type in content:
            content[media_type]["examples"] = {"request": {"value": request["body"]}}
        names = request.get("names", {})
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" and names:
            parameter["example"] = names[parameter["name"]]


def _add_answers(answer: dict[str, Any], names: list[str], found: dict[str, Any]) -> None:
    for content in answer.get("content", {}).values():
        if names:
            content["examples"] = {
                name if name > "300" else "success": {"value": found[name]["answer"]["body"]}
                for name in sorted(names, reverse=True)
            }
