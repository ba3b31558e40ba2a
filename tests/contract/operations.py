"""The operations of the API: their ids, routes and views, and the answers that their document names."""

import gzip
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from django.conf import settings
from django.http import HttpResponse
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver

from config import openapi

_METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """An operation: its id, method and path as the document has them, its view's method by dotted name, and its part of
    the document."""

    id: str
    method: str
    path: str
    view: str
    described: dict[str, Any]


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document as it is checked in."""
    found: dict[str, Any] = yaml.load(
        (Path(settings.BASE_DIR) / openapi.DOCUMENT).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return found


@cache
def operations() -> dict[str, Operation]:
    """All operations of the API, by their ids."""
    views = {(method, _shape(path)): view for path, method, view in _routes(get_resolver())}
    return {
        described["operationId"]: Operation(
            described["operationId"], method, path, views[method, _shape(path)], described
        )
        for path, methods in document()["paths"].items()
        for method, described in methods.items()
    }


def _shape(path: str) -> str:
    return re.sub(r"<[^>]*>|{[^}]*}", "{}", path)


def _routes(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, str, str]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, path)
        elif isinstance(entry, URLPattern) and path.startswith("/api/v1/"):
            view = entry.callback.view_class  # type: ignore[attr-defined]
            for method in _METHODS:
                if hasattr(view, method):
                    yield path, method, f"{view.__module__}.{view.__qualname__}.{method}"


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the document, or what it refers to."""
    found: Any = document() if "$ref" in part else part
    for name in part.get("$ref", "").removeprefix("#/").split("/"):
        found = found[name] if name else found
    return found  # type: ignore[no-any-return]


def documented_codes(operation: Operation) -> dict[str, str]:
    """The codes that an operation may answer as documented, with their statuses."""
    found = {}
    for status, answer in operation.described["responses"].items():
        for content in resolved(answer).get("content", {}).values() if status >= "400" else ():
            found |= dict.fromkeys(resolved(content["schema"])["properties"]["code"]["enum"], status)
    return found


def require_documented(response: HttpResponse, method: str) -> None:
    """Check that the code of a refusal is one that its operation documents; not of methods that no operation has."""
    try:
        view = response.resolver_match.func  # type: ignore[attr-defined]
    except Resolver404:
        return
    if response.headers.get("Content-Type") != "application/problem+json" or not hasattr(view, "view_class"):
        return
    operation = _by_view().get(f"{view.view_class.__module__}.{view.view_class.__qualname__}.{method.lower()}")
    if operation is not None:
        is_compressed = response.headers.get("Content-Encoding") == "gzip"
        code = json.loads(gzip.decompress(response.content) if is_compressed else response.content)["code"]
        assert code in documented_codes(operation), f"{operation.id} doesn't document {code}: {response.content!r}"


@cache
def _by_view() -> dict[str, Operation]:
    return {operation.view: operation for operation in operations().values()}
