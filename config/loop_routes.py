"""Which calls of the API are answered on the event loop: their views say so (``ApiView.on_loop``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import PathConverter
from django.urls.resolvers import RoutePattern

from audit.api.http import ApiView

PROGRAMS: Final = ("/api/v1/", "/api/inventory/")
"""The paths of the API. They are answered by their view directly, without the middleware for browsers."""
Found = tuple["Route", Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a view that answers on the loop. ``pattern`` is its address with the names of its arguments."""

    pattern: str
    view: type[ApiView]


class Routes:
    """Finds the route of a path faster than Django, which tries each route in turn.

    A route with arguments is looked up by the path before its first argument and by the number of segments from there
    on, which are then matched by Django's own pattern. Each argument must be a whole segment of the path.
    """

    def __init__(self) -> None:
        self._plain: dict[str, Route] = {}
        self._with_argument: list[dict[str, list[tuple[RoutePattern, Route]]]] = []
        """By the number of slashes behind the start of the first argument, then by the path before it."""
        for base, leaf, view in _views(get_resolver().url_patterns, "/"):
            self._add(base, leaf, view)

    def _add(self, base: str, leaf: RoutePattern, view: type[ApiView]) -> None:
        route = Route(f"{base}{leaf}", view)
        if not leaf.converters:
            self._plain.setdefault(route.pattern, route)
            return
        before = route.pattern[: route.pattern.index("<")]
        rest = route.pattern[len(before) :]
        if not before.endswith("/") or any(isinstance(each, PathConverter) for each in leaf.converters.values()):
            raise TypeError(f"{route.pattern} can't be answered on the event loop: its argument isn't a segment.")
        while len(self._with_argument) <= rest.count("/"):
            self._with_argument.append({})
        routes = self._with_argument[rest.count("/")]
        routes.setdefault(before, []).append((RoutePattern(rest, is_endpoint=True), route))

    def find(self, path: str, method: str) -> Found | None:
        """The route of a path and its arguments; None if it isn't answered on the loop with this method."""
        route = self._plain.get(path)
        if route is not None:
            return (route, {}) if method in route.view.on_loop else None
        start = len(path)
        for routes in self._with_argument:
            start = path.rfind("/", 0, start)
            if start < 0:
                break
            for rest, route in routes.get(path[: start + 1], ()):
                if matched := rest.match(path[start + 1 :]):
                    return (route, matched[2]) if method in route.view.on_loop else None
        return None

    def __iter__(self) -> Iterator[Route]:
        yield from self._plain.values()
        for routes in self._with_argument:
            for each in routes.values():
                yield from (route for _, route in each)


def _views(
    patterns: Sequence[URLPattern | URLResolver], base: str
) -> Iterator[tuple[str, RoutePattern, type[ApiView]]]:
    """The views below these patterns that answer on the loop, in the order in which Django looks for them."""
    for each in patterns:
        if isinstance(each, URLResolver) and isinstance(each.pattern, RoutePattern):
            yield from _views(each.url_patterns, f"{base}{each.pattern}")
        elif isinstance(each, URLPattern) and isinstance(each.pattern, RoutePattern) and base.startswith(PROGRAMS):
            view = getattr(each.callback, "view_class", None)
            if view is not None and getattr(view, "on_loop", None):
                yield base, each.pattern, view
