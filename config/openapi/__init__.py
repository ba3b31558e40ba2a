"""The OpenAPI document: the hooks that complete it when it is generated, and the two routes that serve it.

It is generated when the code changes (``config.documents``), not when it is asked for: generating takes most of a
second, keeps its state in globals of drf-spectacular that two threads at once break, and anybody may ask.
"""

import re
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularSwaggerView

from audit.api.schema import components, optional_bodies
from config import problems
from config.openapi.examples import add_examples
from config.openapi.fields import complete_parameter, complete_schema
from config.openapi.names import document_name, renamed
from config.openapi.refusals import add_refusals
from config.openapi.shapes import settle_nulls
from config.openapi.tags import TAGS, tag_of

DOCUMENT: Final = "docs/reference/openapi.yaml"
"""Where the generated document is kept, from the folder of the code."""


def only_the_current_version(endpoints: list[Any]) -> list[Any]:
    """Leave out ``/api/inventory/…``, which serves older callers the same as ``/api/v1/inventory/…``."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def add_components(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the schemas of bodies, the tags, the refusals and the examples, complete the parameters, and name schemas for
    people."""
    schemas = result["components"].setdefault("schemas", {})
    schemas.update({name: complete_schema(schema) for name, schema in components().items()})
    result["paths"] = {_camel(path): operations for path, operations in result["paths"].items()}
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _complete(operation, path)
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    settle_nulls(result)
    _name_schemas(schemas)
    add_refusals(result)
    complete: dict[str, Any] = renamed(result)
    add_examples(complete)
    return complete


def _complete(operation: dict[str, Any], path: str) -> None:
    """Complete an operation in place: its tag, whether its body is required, and its parameters, which are named in its
    path as in bodies."""
    operation["tags"] = [tag_of(path)]
    if body := operation.get("requestBody"):
        body["required"] = _name_of(body) not in optional_bodies()
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = _camel(parameter["name"])
        parameter.update(complete_parameter(parameter))


def _name_schemas(schemas: dict[str, dict[str, Any]]) -> None:
    """Give schemas the names that people read, in place; the title, which only repeats a name, is left out."""
    named: dict[str, dict[str, Any]] = {}
    for struct, schema in sorted(schemas.items(), key=lambda item: document_name(item[0])):
        name = document_name(struct)
        if name in named:
            raise ValueError(f"Two schemas would have the name {name}: that of {struct} needs another.")
        named[name] = {key: value for key, value in schema.items() if key != "title"}
    schemas.clear()
    schemas.update(named)


def _name_of(body: dict[str, Any]) -> str:
    return str(body["content"]["application/json"]["schema"].get("$ref", "")).rpartition("/")[2]


def _camel(text: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), text)


def _unless_switched_off(view: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """A view that exists only with ``API_DOCS``."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponseBase:
        return view(request) if settings.API_DOCS else problems.no_such_route(request, request.path)

    return answer


@cache
def _document() -> bytes:
    return (Path(settings.BASE_DIR) / DOCUMENT).read_bytes()


@_unless_switched_off
@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document, as YAML."""
    return HttpResponse(
        _document(),
        content_type="application/vnd.oai.openapi; charset=utf-8",
        headers={"Content-Disposition": 'inline; filename="openapi.yaml"'},
    )


pages = _unless_switched_off(SpectacularSwaggerView.as_view(url_name="schema", throttle_classes=[]))
"""The page to read the document and to try calls."""
