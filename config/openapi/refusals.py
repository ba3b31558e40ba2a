"""The refusals and the headers of the OpenAPI document: for each operation and status, a problem with its codes.

An operation declares the errors of its own beside its view (``audit.api.schema.describe``). Those that every operation
has, or every one with a body or an idempotency key, follow from what it takes. Statuses come from the table of errors.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from audit import errors
from audit.api.schema import OPERATIONS, Described
from config.problems import codes

_EVERY: Final = ("invalid", "not_authenticated", "permission_denied", "throttled", "internal_error", "busy")
_WITH_PATH_PARAMETER: Final = ("not_found",)
_WITH_BODY: Final = ("unsupported_media_type", "request_timeout")
_WITH_BODY_OR_KEY: Final = ("malformed", "too_large")
_WITH_KEY: Final = ("idempotency_in_progress", "idempotency_key_reused")
_PROBLEM: Final = "Problem"
_WHY: Final = {
    400: "The request can't be read, or is not valid: `errors` names each fault.",
    401: "There is no token, or it is not valid.",
    403: "The client's role or stores don't allow this.",
    404: "It doesn't exist, or this client may not see it.",
    408: "The body came too slowly. Send it again.",
    409: "The request can't be fulfilled in the present state.",
    410: "What was asked for is so old that it was archived or deleted.",
    413: "The body is too large.",
    415: "The body is of a media type, or in a coding, that isn't accepted.",
    422: "The request names something unknown, or contradicts itself or an earlier request.",
    429: "Too many requests. `Retry-After` says when to send the next one.",
    500: "An error in the service, which was logged with the `requestId`.",
    503: "Nothing was done, because a lock or the database wasn't available in time. Try again after `Retry-After`.",
}
_WORDS: Final = {400: "BadRequest", 404: "NotFound", 409: "Conflict", 410: "Gone", 422: "Unprocessable"}
"""By status, the part after the operation in the name of a problem that is the operation's own."""
_SHARED: Final = frozenset({400, 401, 403, 408, 413, 415, 429, 500, 503})
"""Statuses whose answers are the same for all operations that have them."""

_HEADERS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "X-Request-ID": (
        "The id of the request: the one that was sent, or a new one. Log lines and audit entries have it.",
        {"type": "string"},
    ),
    "Retry-After": ("Seconds to wait before the next try.", {"type": "integer", "minimum": 1}),
    "Idempotent-Replayed": (
        "`true` if this is the stored answer to the first request with this Idempotency-Key; absent otherwise.",
        {"type": "string", "enum": ["true"]},
    ),
    "Location": ("The path of what was created.", {"type": "string", "format": "uri-reference"}),
    "RateLimit-Policy": (
        "The limits of the client: `q` units in each window of `w` seconds. Absent where there are none.",
        {"type": "string"},
    ),
    "RateLimit": (
        "What is left of each limit: `r` units for the next `t` seconds. Absent where there are none.",
        {"type": "string"},
    ),
    "Accept-Encoding": ("`identity`, if the body was compressed; absent otherwise.", {"type": "string"}),
    "WWW-Authenticate": ("How to authenticate: `Bearer`.", {"type": "string"}),
}
_OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    201: ("Location",),
    401: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

_WITHOUT_CLIENT: Final = frozenset({401, 408})
"""Statuses of answers that are given before it is known who asks."""


def codes_of(operation: str, path: str) -> dict[int, tuple[str, ...]]:
    """The codes that an operation may answer, by status, in order."""
    described = OPERATIONS[operation]
    statuses = codes()
    found: dict[int, set[str]] = {}
    for code in {*_implied(described, path), *described.codes}:
        found.setdefault(statuses[code], set()).add(code)
    return {status: tuple(sorted(found[status])) for status in sorted(found)}


def _implied(described: Described, path: str) -> Iterable[str]:
    """The codes that follow from what an operation takes."""
    yield from _EVERY
    if "{" in path:
        yield from _WITH_PATH_PARAMETER
    if described.has_body:
        yield from _WITH_BODY
    if described.has_body or described.is_idempotent:
        yield from _WITH_BODY_OR_KEY
    if described.is_idempotent:
        yield from _WITH_KEY
    if described.is_conditional:
        yield errors.VersionConflict.code


def add_refusals(document: dict[str, Any]) -> None:
    """Add to each operation its refusals by status, and to all answers their headers."""
    components = document["components"]
    schemas, responses = components["schemas"], components.setdefault("responses", {})
    components["headers"] = {
        name: {"description": description, "schema": schema} for name, (description, schema) in _HEADERS.items()
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            name = operation["operationId"]
            for status, answer in operation["responses"].items():
                _add_headers(answer, int(status), replayed=OPERATIONS[name].is_idempotent)
            for status, allowed in codes_of(name, path).items():
                problem = _problem(schemas, name, status, allowed)
                answer = _response(status, problem)
                if status in _SHARED:
                    shared = problem.removesuffix(_PROBLEM)
                    responses[shared] = answer
                    answer = {"$ref": f"#/components/responses/{shared}"}
                operation["responses"][str(status)] = answer
            operation["responses"] = dict(sorted(operation["responses"].items()))
    del schemas[_PROBLEM]
    for part in ("schemas", "responses"):
        components[part] = dict(sorted(components[part].items()))


def _problem(schemas: dict[str, Any], operation: str, status: int, allowed: tuple[str, ...]) -> str:
    """Add the problem with these codes to the schemas. Returns its name."""
    name = _name(operation, status, allowed)
    if name not in schemas:
        base = schemas[_PROBLEM]
        code = {"type": "string", "enum": list(allowed), "description": "What programs decide by."}
        schemas[name] = {
            **base,
            "description": _WHY[status],
            "properties": {**base["properties"], "code": code},
        }
    return name


def _name(operation: str, status: int, allowed: tuple[str, ...]) -> str:
    if len(allowed) == 1:
        return _pascal(allowed[0]) + _PROBLEM
    owner = "" if status in _SHARED else operation[0].upper() + operation[1:]
    return f"{owner}{_WORDS[status]}{_PROBLEM}"


def _pascal(code: str) -> str:
    return re.sub(r"(?:^|_)([a-z])", lambda match: match[1].upper(), code)


def _response(status: int, problem: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{problem}"}
    answer = {"description": _WHY[status], "content": {"application/problem+json": {"schema": schema}}}
    _add_headers(answer, status)
    return answer


def _add_headers(answer: dict[str, Any], status: int, *, replayed: bool = False) -> None:
    names = ["X-Request-ID", *_OF_STATUS.get(status, ()), *(["Idempotent-Replayed"] if replayed else [])]
    names += [] if status in _WITHOUT_CLIENT else ["RateLimit-Policy", "RateLimit"]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    answer["headers"] = answer.get("headers", {}) | headers
