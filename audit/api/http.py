"""The base of every API view: authentication, roles, decoding of bodies and queries, idempotency keys, answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.urls import register_converter
from django.urls.converters import UUIDConverter
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from audit import context, traces
from audit.actors import Actor
from audit.api.contract import OptionalBody
from audit.api.permissions import Guarded
from audit.api.scalars import decode_scalar
from audit.authentication import Caller
from audit.context import request_id_of
from audit.errors import Fault, Invalid, Malformed, NotFound, TooLarge
from audit.idempotency import Claim, StoredAnswer, fingerprint
from audit.identifiers import parse_public_id
from audit.whole_numbers import visible

S = TypeVar("S", bound=msgspec.Struct)
_KEY: Final = re.compile(r"[ -~]{1,255}")
_PLACE: Final = re.compile(r" - at `(key in )?\$(.*)`$", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(.*?)`")
_DIGITS: Final = re.compile(r"-?[0-9]{1,19}")
_JSON: Final = "application/json"


class AnyCaseUuid(UUIDConverter):
    """A UUID in a path, in lower or upper case, as in bodies."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


register_converter(AnyCaseUuid, "any-case-uuid")


class PendingResult(Protocol):
    """A request handed to a service that decides many at a time. Both ways of waiting raise its error if refused."""

    def outcome(self) -> Any:
        """Block this thread until the result is there, and return it."""

    async def outcome_on_loop(self) -> Any:
        """Wait for the result on the running event loop, and return it."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that is still being decided, and how to render the answer from its result."""

    submission: PendingResult
    render: Callable[[Any], StoredAnswer]


class LoopRequest(Request):
    """A minimal request for a POST without a query that is answered on the event loop.

    It has only what a view reads: making Django's full request takes longer than using it.
    """

    META: dict[str, str]
    body: bytes = b""
    method = "POST"
    path = ""
    user: Any = None

    def __init__(self, path: str, meta: dict[str, str], body: bytes, user: Caller) -> None:
        self.path = path
        self.META = meta
        self.body = body
        self.user = user
        self._request = self

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def get_full_path(self, force_append_slash: bool = False) -> str:
        """The path: there is no query."""
        return self.path


class ApiView(Guarded, APIView):
    """A view for API clients. It declares who may use each of its methods (``Guarded``)."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Replace DRF's dispatch, leaving out content negotiation: every answer is JSON."""
        self.args, self.kwargs, self.headers = args, kwargs, {}
        self.request = asked = Request(request)
        try:
            self._authenticate(asked)
            self.check_permissions(asked)
            self.check_throttles(asked)
            if any("\0" in str(name) for name in kwargs.values()):
                raise NotFound("Nothing has a name with a NUL character in it.")
            handler = self._handler(asked) or self.http_method_not_allowed
            response: HttpResponse | Pending = handler(asked, *args, **kwargs)
            if isinstance(response, Pending):
                response = answered(response.submission.outcome(), response.render)
        except Exception as error:  # noqa: BLE001 - each becomes a problem document
            response = self.handle_exception(error)
            if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                response.headers["Allow"] = ", ".join(self.allowed_methods)
        return response

    def _authenticate(self, request: Request) -> None:
        for authenticator in self.get_authenticators():
            if found := authenticator.authenticate(request):
                request.user, request.auth = found
                return
        request.user = AnonymousUser()

    def _handler(self, request: Request) -> Callable[..., HttpResponse | Pending] | None:
        """The view's method for the request; None if it has none."""
        method = (request.method or "").lower()
        return getattr(self, method, None) if method in self.http_method_names else None

    def check_permissions(self, request: Request) -> None:
        """Raises NotAuthenticated or PermissionDenied. A method that the view doesn't have is answered by 405."""
        if not isinstance(request.user, Caller):
            raise exceptions.NotAuthenticated("Send the header Authorization: Bearer <token>.")
        if self._handler(request) and (refusal := self.refusal(request.user, request.method or "")):
            raise exceptions.PermissionDenied(refusal)

    @staticmethod
    def actor(request: Request) -> Actor:
        """The actor of a request, with the client's stores."""
        caller = caller_of(request)
        span = None if traces.active is None else traces.active.current()
        request_id = request_id_of(request._request)
        return Actor(caller.name, caller.client_id, request_id, "api", caller.store_codes, span=span)

    @staticmethod
    def claim(request: Request, render: Callable[[Any], StoredAnswer]) -> Claim | None:
        """The claim on the request's idempotency key; None without a key. Raises Invalid for a malformed key."""
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if key is None:
            return None
        if not _KEY.fullmatch(key):
            raise Invalid("Idempotency-Key takes 1 to 255 printable ASCII characters.")
        caller = caller_of(request)
        print_ = fingerprint(request.method or "", request.get_full_path(), raw_body(request), caller.reach)
        return Claim(caller.client_id, key, print_, render)


def note_rows(request: Request, rows: int) -> None:
    """Note that a request wrote rows that neither its body nor its answer names: its client is charged for them."""
    request.META[context.ROWS_WRITTEN] = rows


def caller_of(request: Request) -> Caller:
    """The API client of a request that has passed the view's checks."""
    return cast(Caller, request.user)


def decode(request: Request, body: type[S]) -> S:
    """The request's body as a struct. An ``OptionalBody`` that was not sent has its defaults, whatever the media type.

    Raises TooLarge, UnsupportedMediaType, Malformed (not JSON), or Invalid with a pointer to the first fault.
    """
    media_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    raw = raw_body(request)
    if not raw and "HTTP_TRANSFER_ENCODING" not in request.META and issubclass(body, OptionalBody):
        return body()  # Not if sent in chunks: a server may not pass on a body without a length.
    if media_type != _JSON:
        raise exceptions.UnsupportedMediaType(media_type, detail=f"Send the body as {_JSON}.")
    try:
        return cast(S, _decoder(body).decode(raw))
    except msgspec.ValidationError as error:
        raise _invalid(str(error), "") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not JSON in UTF-8: {str(error) or 'nested too deeply'}.") from error


@cache
def _decoder(body: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(body, dec_hook=decode_scalar)


def raw_body(request: Request) -> bytes:
    """The body as bytes. Raises TooLarge, or Malformed for a ``Content-Length`` that isn't a number."""
    length = str(request.META.get("CONTENT_LENGTH") or 0)
    if not (length.isascii() and length.isdigit()):
        raise Malformed("Content-Length is not a number.")
    if len(length) > 18 or int(length) > settings.BODY_LIMIT_BYTES:
        raise TooLarge(f"A body has at most {settings.BODY_LIMIT_BYTES} bytes.")
    return request._request.body


def decode_query(request: Request, query: type[S]) -> S:
    """The query string as a struct. Raises Invalid for unknown, repeated or malformed parameters."""
    if not request.META.get("QUERY_STRING"):
        return query()
    repeated = next((name for name, values in request.query_params.lists() if len(values) > 1), None)
    if repeated is not None:
        raise Invalid("A parameter is given once.", [Fault(f"?{repeated}", "invalid", "given more than once")])
    parameters = request.query_params.dict()
    if nul := next((name for name, value in parameters.items() if "\0" in value), None):
        raise Invalid("A parameter has a NUL character.", [Fault(f"?{nul}", "invalid", "NUL character")])
    _require_digits(parameters, query)
    try:
        decoded = msgspec.convert(parameters, type=query, strict=False, dec_hook=decode_scalar)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), "?") from error
    for field in msgspec.structs.fields(query):
        if field.encode_name in parameters and getattr(decoded, field.name) is None:  # The text "null" is read as None.
            raise Invalid("null is no value.", [Fault(f"?{field.encode_name}", "invalid", "null is no value")])
    return decoded


def _require_digits(parameters: Mapping[str, str], query: type[msgspec.Struct]) -> None:
    """Raises Invalid for whole numbers that are written otherwise: the decoder also takes ``1e3`` and ``1.0``."""
    faults = [
        Fault(
            f"?{name}",
            "invalid",
            f"Expected a whole number written in the digits 0 to 9, got `{visible(parameters[name])}`",
        )
        for name in _whole_numbers(query)
        if name in parameters and not _DIGITS.fullmatch(parameters[name])
    ]
    if faults:
        raise Invalid(f"{faults[0].detail}.", faults)


@cache
def _whole_numbers(query: type[msgspec.Struct]) -> tuple[str, ...]:
    """The names of the parameters that are whole numbers."""
    described = msgspec.inspect.type_info(query)
    assert isinstance(described, msgspec.inspect.StructType)  # noqa: S101 - for the type checker: queries are structs
    return tuple(field.encode_name for field in described.fields if _is_whole_number(field.type))


def _is_whole_number(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _is_whole_number(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_is_whole_number, kind.types))
    return isinstance(kind, msgspec.inspect.IntType)


def _invalid(message: str, prefix: str) -> Invalid:
    """Turn a decoder's message into a fault: ``… - at `$.items[0].quantity``` becomes ``/items/0/quantity``."""
    place = _PLACE.search(message)
    detail = _PLACE.sub("", message)
    pointer = re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", place.group(2)).replace(".", "/") if place else ""
    if unknown := _UNKNOWN_FIELD.search(message):
        pointer += "/" + unknown.group(1).replace("~", "~0").replace("/", "~1")
    if prefix:
        pointer = prefix + pointer.removeprefix("/")
    return Invalid(f"{detail}.", [Fault(pointer, "invalid", detail)])


def answered(outcome: object, render: Callable[[Any], StoredAnswer]) -> HttpResponse:
    """The response for a service's outcome: a stored answer as it is, any other result as ``render`` makes it."""
    if isinstance(outcome, StoredAnswer):
        return HttpResponse(
            outcome.body, status=outcome.status, content_type=_JSON, headers={"Idempotent-Replayed": "true"}
        )
    answer = render(outcome)
    return HttpResponse(answer.body, status=answer.status, content_type=_JSON)


def rendered(answer: msgspec.Struct, status: int = 200) -> StoredAnswer:
    """Encode a struct as an answer that can be stored."""
    return StoredAnswer(status, msgspec.json.encode(answer))


def respond(answer: msgspec.Struct, status: int = 200) -> HttpResponse:
    """Encode a struct as an HTTP response."""
    return HttpResponse(msgspec.json.encode(answer), status=status, content_type=_JSON)


def id_in_path(prefix: str, text: str, what: str) -> UUID:
    """The UUID of a public id (``<prefix>-<uuid>``) in a path. Raises NotFound for a malformed one."""
    identifier = parse_public_id(prefix, text)
    if identifier is None:
        raise NotFound(f"There is no such {what}.")
    return identifier
