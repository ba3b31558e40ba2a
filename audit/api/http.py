"""The base of every API view: authentication, roles, decoding of bodies and queries, idempotency keys, answers."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any, ClassVar, Final, Protocol, TypeVar, cast
from uuid import UUID

import msgspec
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import register_converter
from django.urls.converters import UUIDConverter
from django.utils.encoding import escape_uri_path, iri_to_uri
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from audit import context, traces
from audit.actors import Actor
from audit.api.contract import Body, OptionalBody
from audit.api.expectations import EXAMPLE
from audit.api.json_bodies import CANONICAL, canonical, malformed, raw_body, repetitions, require_json, tree_of
from audit.api.locations import location_of
from audit.api.mistakes import DIGITS, mistakes_in, mistakes_in_query, refusal
from audit.api.permissions import Guarded
from audit.api.pointers import MOST
from audit.api.scalars import decode_scalar
from audit.api.versions import unless_known
from audit.authentication import Caller
from audit.context import request_id_of
from audit.errors import DomainError, Invalid, Malformed, NotFound
from audit.idempotency import Claim, StoredAnswer, fingerprint
from audit.identifiers import parse_public_id
from audit.whole_numbers import visible

S = TypeVar("S", bound=Body)
_KEY: Final = re.compile(r"[ -~]{1,255}")
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


class Pending(msgspec.Struct, frozen=True):
    """A request that is still being decided, and how to render the answer from its result.

    ``is_tagged``: the answer gets an ``ETag``, and is a 304 for a client that already has it
    (``audit.api.versions.unless_known``).
    """

    submission: PendingResult
    render: Callable[[Any], StoredAnswer]
    is_tagged: bool = False


class LoopRequest(Request):
    """A minimal request that is answered on the event loop.

    It has only what a view reads: making Django's full request takes longer than using it.
    """

    META: dict[str, str]
    method = ""
    path = ""
    user: Any = None

    def __init__(self, method: str, path: str, meta: dict[str, str], body: bytes, user: Caller) -> None:
        self.method = method
        self.path = path
        self.META = meta
        self.user = user
        self._sent = body
        self._request = self

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    @property
    def body(self) -> bytes:
        """The body. ``_body``, by which the client is charged, is set once a view has read it, as by Django."""
        self._body = self._sent
        return self._sent

    @property
    def query_params(self) -> QueryDict:  # type: ignore[override]  # its stubs name a subclass of their own
        """The parameters of the query."""
        return QueryDict(self.META.get("QUERY_STRING", ""))

    def get_full_path(self, force_append_slash: bool = False) -> str:
        """The path with the query, as Django quotes them."""
        query = self.META.get("QUERY_STRING")
        return escape_uri_path(self.path) + (f"?{iri_to_uri(query)}" if query else "")


class ApiView(Guarded, APIView):
    """A view for API clients. It declares who may use each of its methods (``Guarded``)."""

    on_loop: ClassVar[frozenset[str]] = frozenset()
    """The methods that may be answered on the event loop (``config.on_loop``): they return a Pending, without changing
    anything or asking the database. If they raise there, or return anything else, they are called again in a thread."""
    created: ClassVar[str] = ""
    """The path of what an answer with 201 has created (``audit.api.locations``)."""
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    @property
    def allowed_methods(self) -> list[str]:
        """The methods of this route, as ``Allow`` names them."""
        return [*super().allowed_methods, "OPTIONS"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Replace DRF's dispatch, leaving out content negotiation: every answer is JSON."""
        if request.method == "OPTIONS":
            return options_answer(self.allowed_methods)
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
                response = _decided(asked, response)
            if response.status_code == HTTPStatus.CREATED:
                response.headers["Location"] = location_of(self.created, response.content)
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

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Raises MethodNotAllowed, with the methods that the route has."""
        method = visible(request.method or "")
        detail = f"This route doesn't take {method}. It takes {', '.join(self.allowed_methods)}."
        raise exceptions.MethodNotAllowed(method, detail=detail)

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
        if "," in key and _is_sent_twice(request):
            raise Invalid("The header Idempotency-Key is sent more than once. Send it once.")
        caller, method, path = caller_of(request), request.method or "", request.get_full_path()
        print_ = fingerprint(method, path, raw_body(request), caller.reach)
        parsed = fingerprint(method, path, _parsed_body(request), caller.reach)
        return Claim(caller.client_id, key, print_, render, parsed)


def options_answer(methods: Sequence[str]) -> HttpResponse:
    """The answer to OPTIONS, which needs no token: the methods of the route."""
    response = HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(methods)})
    del response.headers["Content-Type"]
    return response


def note_rows(request: Request, rows: int) -> None:
    """Note that a request wrote rows that neither its body nor its answer names: its client is charged for them."""
    request.META[context.ROWS_WRITTEN] = rows


def caller_of(request: Request) -> Caller:
    """The API client of a request that has passed the view's checks."""
    return cast(Caller, request.user)


def decode(request: Request, body: type[S]) -> S:
    """The request's body as a struct. An ``OptionalBody`` that was not sent has its defaults, whatever the media type.

    Raises TooLarge, UnsupportedMediaType, Malformed (not JSON), or Invalid with a pointer to each mistake.
    """
    raw = raw_body(request)
    if not raw and "HTTP_TRANSFER_ENCODING" not in request.META and issubclass(body, OptionalBody):
        return body()  # Not if sent in chunks: a server may not pass on a body without a length.
    require_json(request, raw)
    try:
        decoded = _decoder(body).decode(raw)
        request.META[CANONICAL] = canonical(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Invalid) as error:
        raise _refused(raw, body, error) from error
    if faults := decoded.contradictions():
        raise refusal(faults)
    return cast(S, decoded)


@cache
def _decoder(body: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(body, dec_hook=decode_scalar)


def _refused(raw: bytes, body: type[msgspec.Struct], error: Exception) -> Malformed | Invalid:
    """The refusal of a body that the decoder has refused, with all of its mistakes."""
    try:
        with suppress(msgspec.ValidationError):  # For a number out of every range, which the reading below names.
            msgspec.json.decode(raw)
        tree = tree_of(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as unread:
        return malformed(raw, unread)
    faults = [*repetitions(tree), *mistakes_in(tree, body)][:MOST]
    return refusal(faults) if faults else Invalid(f"The body is not valid: {error}.")


def decode_query(request: Request, query: type[S]) -> S:
    """The query string as a struct. Raises Invalid for unknown, repeated or malformed parameters, with each mistake."""
    if not (raw := request.META.get("QUERY_STRING")):
        return query()
    given = dict(request.query_params.lists())
    parameters = {name: values[-1] for name, values in given.items()}
    try:
        decoded = msgspec.convert(parameters, type=query, strict=False, dec_hook=decode_scalar)
    except msgspec.ValidationError as error:
        faults = mistakes_in_query(given, query, raw)
        raise refusal(faults) if faults else Invalid(f"The query is not valid: {error}.") from error
    faults = [] if _is_plain(given, query) else mistakes_in_query(given, query, raw)
    if faults := [*faults, *decoded.contradictions()]:
        raise refusal(faults)
    return decoded


def _is_plain(given: Mapping[str, Sequence[str]], query: type[Body]) -> bool:
    """Whether a query has none of the mistakes that the decoder overlooks: it takes ``1e3`` and ``1.0`` as whole
    numbers, and the text ``null`` as None."""
    numbers = _whole_numbers(query)
    return all(
        len(values) == 1
        and "\0" not in values[0]
        and values[0].lower() != "null"
        and (name not in numbers or DIGITS.fullmatch(values[0]))
        for name, values in given.items()
    )


@cache
def _whole_numbers(query: type[Body]) -> frozenset[str]:
    """The names of the parameters that are whole numbers."""
    described = msgspec.inspect.type_info(query)
    assert isinstance(described, msgspec.inspect.StructType)  # noqa: S101 - for the type checker: queries are structs
    return frozenset(field.encode_name for field in described.fields if _is_whole_number(field.type))


def _is_whole_number(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _is_whole_number(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_is_whole_number, kind.types))
    return isinstance(kind, msgspec.inspect.IntType)


def _is_sent_twice(request: Request) -> bool:
    """Whether a request has several ``Idempotency-Key`` headers, which the server joins with commas."""
    headers: Sequence[tuple[bytes, bytes]] = getattr(request._request, "scope", {}).get("headers", ())
    return sum(name == b"idempotency-key" for name, _ in headers) > 1


def _parsed_body(request: Request) -> bytes:
    """The body that tells one request from another: its canonical form, or its bytes where it isn't JSON."""
    if (form := request.META.get(CANONICAL)) is not None:
        return cast(bytes, form)
    try:
        return canonical(raw_body(request))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw_body(request)


def answered(outcome: object, render: Callable[[Any], StoredAnswer]) -> HttpResponse:
    """The response for a service's outcome: a stored answer as it is, any other result as ``render`` makes it."""
    if isinstance(outcome, StoredAnswer):
        return HttpResponse(
            outcome.body, status=outcome.status, content_type=_JSON, headers={"Idempotent-Replayed": "true"}
        )
    answer = render(outcome)
    return HttpResponse(answer.body, status=answer.status, content_type=_JSON)


def _decided(request: Request, pending: Pending) -> HttpResponse:
    """Wait in this thread for what was handed in, and answer it."""
    response = answered(pending.submission.outcome(), pending.render)
    return unless_known(request, response) if pending.is_tagged else response


def rendered(answer: msgspec.Struct, status: int = 200) -> StoredAnswer:
    """Encode a struct as an answer that can be stored."""
    return StoredAnswer(status, msgspec.json.encode(answer))


def respond(answer: msgspec.Struct, status: int = 200) -> HttpResponse:
    """Encode a struct as an HTTP response."""
    return HttpResponse(msgspec.json.encode(answer), status=status, content_type=_JSON)


def id_in_path(prefix: str, text: str, what: str, error: type[DomainError] = NotFound) -> UUID:
    """The UUID of a public id (``<prefix>-<uuid>``) in a path. Raises ``error`` for a malformed one."""
    identifier = parse_public_id(prefix, text)
    if identifier is None:
        raise error(f"“{visible(text)}” is not the id of {what}: one looks like `{prefix}-{EXAMPLE}`.")
    return identifier
