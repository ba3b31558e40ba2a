"""The OpenAPI document, generated from the structs that decode and encode the bodies."""

import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from audit.api.contract import OptionalBody, Problem
from audit.api.scalars import scalar_schema
from audit.errors import DomainError

F = TypeVar("F", bound=Callable[..., Any])


class Described(NamedTuple):
    """What an operation declares of its refusals: the codes of its own errors, and what others follow from."""

    codes: tuple[str, ...]
    has_body: bool
    is_idempotent: bool
    is_conditional: bool


OPERATIONS: Final[dict[str, Described]] = {}
"""The described operations, by their ids."""
_JSON: Final = "application/json"
_TEMPLATE: Final = "#/components/schemas/{name}"
_structs: set[type[msgspec.Struct]] = {Problem}

_SUCCESSES: Final = {
    200: "The request was answered.",
    201: "It was created.",
    202: "It was received. The body has the outcome of each part.",
}

_IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
    OpenApiParameter.HEADER,
    description="The same key with the same request gets the first answer again. Kept for 24 hours.",
)


_CONDITIONS: Final = [
    OpenApiParameter(
        name,
        {"type": "string", "maxLength": 1000, "pattern": pattern},
        OpenApiParameter.HEADER,
        description=description,
    )
    for name, pattern, description in (
        (
            "If-Match",
            r'^("[0-9]{1,18}(-[0-9a-f]{32}(-gzip)?)?"|\*)$',
            "The `ETag` that was read, or the version in quotes: if the version has changed since, the answer is 409.",
        ),
        ("If-None-Match", r"^\*$", "Only create: if it exists, the answer is 409."),
    )
]
_ETAG: Final = OpenApiParameter(
    "ETag",
    {"type": "string"},
    OpenApiParameter.HEADER,
    response=[200, 201, 304],
    description="The version, for `If-Match`, if there is one, then a hash of the answer, for `If-None-Match`.",
)
_KNOWN: Final = OpenApiParameter(
    "If-None-Match",
    {"type": "string", "maxLength": 1000, "pattern": r'^(\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$'},
    OpenApiParameter.HEADER,
    description="The `ETag` that was read: if nothing has changed since, the answer is 304 without a body.",
)
_NOT_MODIFIED: Final = "Not modified: the answer still has the `ETag` that was sent."


_REQUEST_ID: Final = OpenApiParameter(
    "X-Request-ID",
    {"type": "string"},
    OpenApiParameter.HEADER,
    description="The id of this request in the answer, log lines and audit entries: 1 to 128 printable ASCII characters"
    " without blanks. If it is omitted or not of this form, the service makes one.",
)
_LAST_EVENT_ID: Final = OpenApiParameter(
    "Last-Event-ID",
    {"type": "string"},
    OpenApiParameter.HEADER,
    description="The `id` of the last event that was read: the stream continues after it, and `after` is ignored.",
)
_EVENT_STREAM: Final = "Server-sent events, each with its cursor as `id` and the event as JSON in `data`."


def describe(
    operation: str,
    summary: str,
    *,
    answers: Mapping[int, Any],
    refusals: tuple[type[DomainError] | str, ...] = (),
    body: type[msgspec.Struct] | None = None,
    bodies: Mapping[str, Any] | None = None,
    query: type[msgspec.Struct] | None = None,
    idempotent: bool = False,
    conditional: bool = False,
    tagged: bool = False,
    streams: type[msgspec.Struct] | None = None,
) -> Callable[[F], F]:
    """Describe a view's method in the OpenAPI document: operation id, body, query, and successful answers by status.

    ``refusals`` are the errors that this operation may raise, but for those that follow from what it takes: from a
    body, path parameters, an idempotency key, a condition (``config/openapi/refusals.py``). A test compares them with
    the code. An error of another package is given by its code.
    ``bodies`` are those of a call that takes several media types, by media type; they may be lists.
    ``tagged`` answers are those of reads that answer 304 to a client that has the same already
    (``respond_unless_known``); ``conditional`` requests may require a version, and their answers have an ``ETag``, too.
    ``streams`` are server-sent events whose data is this struct.
    """
    if body is not None:
        bodies = {_JSON: body}
    codes = tuple(error if isinstance(error, str) else error.code for error in refusals)
    OPERATIONS[operation] = Described(codes, bool(bodies), idempotent, conditional)
    headers = [_REQUEST_ID]
    headers += [_IDEMPOTENCY_KEY] if idempotent else []
    headers += [*_CONDITIONS, _ETAG] if conditional else [_KNOWN, _ETAG] if tagged else []
    headers += [_LAST_EVENT_ID] if streams else []
    decorate: Callable[[F], F] = extend_schema(
        operation_id=operation,
        summary=summary,
        request={media_type: _reference(each) for media_type, each in bodies.items()} if bodies else None,
        responses=_responses(answers, tagged=tagged, streams=streams),
        parameters=[*headers, *(_parameters(query) if query else [])],
    )
    return decorate


def _responses(
    answers: Mapping[int, Any], *, tagged: bool, streams: type[msgspec.Struct] | None
) -> dict[Any, OpenApiResponse]:
    """The documented successful answers, by status and media type, and the one of what a client has already."""
    responses: dict[Any, OpenApiResponse] = {
        (status, _JSON): OpenApiResponse(_reference(answer), description=_SUCCESSES[status])
        for status, answer in sorted(answers.items())
    }
    if tagged:
        responses[304] = OpenApiResponse(description=_NOT_MODIFIED)
    if streams is not None:
        responses[200, "text/event-stream"] = OpenApiResponse(_event_of(streams), description=_EVENT_STREAM)
    return responses


def _event_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a server-sent event: before OpenAPI 3.2, that of a stream describes each event."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": _reference(struct)}
    return {"type": "object", "properties": {"id": {"type": "string"}, "data": data}, "required": ["id", "data"]}


def components() -> dict[str, Any]:
    """The schemas of all described structs, by name."""
    structs = sorted(_structs, key=lambda s: s.__name__)
    return msgspec.json.schema_components(structs, ref_template=_TEMPLATE, schema_hook=scalar_with_note)[1]


def optional_bodies() -> set[str]:
    """The names of the described bodies that may be omitted."""
    return {struct.__name__ for struct in _structs if issubclass(struct, OptionalBody)}


def scalar_with_note(kind: type[Any]) -> dict[str, Any]:
    """The schema of a scalar. What its type says is a comment, beside which a field may describe itself."""
    schema = scalar_schema(kind)
    return {**{key: value for key, value in schema.items() if key != "description"}, "$comment": schema["description"]}


def _reference(answer: Any) -> dict[str, Any]:
    """The schema of a struct or of a list of structs. Raises TypeError for a union: generators have no name for it."""
    if typing.get_origin(answer) is Annotated:
        part, bounds = typing.get_args(answer)
        return {**_reference(part), "minItems": bounds.min_length, "maxItems": bounds.max_length}
    if typing.get_origin(answer) is list:
        return {"type": "array", "items": _reference(*typing.get_args(answer))}
    if not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        raise TypeError(f"A body is a struct, or a list of structs: {answer}")
    _structs.add(answer)
    return {"$ref": _TEMPLATE.format(name=answer.__name__)}


def _parameters(query: type[msgspec.Struct]) -> list[OpenApiParameter]:
    schema = msgspec.json.schema_components([query], schema_hook=scalar_with_note)[1][query.__name__]
    required = schema.get("required", [])
    return [
        OpenApiParameter(name, _without_null(field), OpenApiParameter.QUERY, required=name in required)
        for name, field in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null: an optional parameter is omitted, never null."""
    schema = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if "anyOf" in schema:
        (part,) = [part for part in schema.pop("anyOf") if part != {"type": "null"}]
        schema = {**part, **schema}
    if None in schema.get("enum", []):
        schema = {**schema, "enum": [value for value in schema["enum"] if value is not None]}
    return schema


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Bearer authentication in the OpenAPI document."""

    target_class = "audit.authentication.TokenAuthentication"
    match_subclasses = True
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "The token of an API client."}
