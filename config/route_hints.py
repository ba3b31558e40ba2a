"""What may have been meant by a path that no route has."""

from typing import Final

from django.urls import Resolver404, resolve

from audit.api.expectations import by_sku
from audit.identifiers import NIL, parse_uuid
from audit.whole_numbers import visible

_PREFIXES: Final = ("/api/v1/", "/api/inventory/")
_LONGEST: Final = 300


def hint_for(path: str) -> str:
    """Another sentence for a path that no route has; empty if there is nothing to say."""
    if len(path) > _LONGEST:
        return ""
    if path.endswith("/") and _is_route(path.rstrip("/")):
        return " Leave out the slash at its end."
    segments = path.split("/")
    for place, text in enumerate(segments):
        if text and _is_route("/".join([*segments[:place], str(NIL), *segments[place + 1 :]])):
            if identifier := parse_uuid(text):
                return f" A productId is written as `{identifier}`."
            return f" A productId is a UUID, which “{visible(text)}” is not. {by_sku(text)}"
    return ""


def _is_route(path: str) -> bool:
    """Whether the API has a route for a path."""
    if not path.startswith(_PREFIXES):
        return False
    try:
        found = resolve(path)
    except Resolver404:
        return False
    return hasattr(found.func, "view_class")
