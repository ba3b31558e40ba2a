"""Hand requests to their views on the event loop and answer them, without a thread for each.

Answers get here what ``config.middleware`` and ``ApiView.dispatch`` add to them in a thread.
"""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.http.request import split_domain_port, validate_host
from rest_framework.request import Request

from audit import context
from audit.api import deprecation, versions
from audit.api.http import LoopRequest, Pending
from audit.api.locations import location_of
from audit.authentication import cached_caller
from audit.errors import DomainError
from audit.idempotency import StoredAnswer
from config import compression, draining, problems, throttling
from config.answering import Answering
from config.bodies import Message
from config.loop_routes import Route
from config.streams import Send

_HOST_LIMIT: Final = 255
_META: Final = {
    b"accept-encoding": "HTTP_ACCEPT_ENCODING",
    b"authorization": "HTTP_AUTHORIZATION",
    b"content-encoding": "HTTP_CONTENT_ENCODING",
    b"content-length": "CONTENT_LENGTH",
    b"content-type": "CONTENT_TYPE",
    b"host": "HTTP_HOST",
    b"idempotency-key": "HTTP_IDEMPOTENCY_KEY",
    b"if-match": "HTTP_IF_MATCH",
    b"if-none-match": "HTTP_IF_NONE_MATCH",
    b"transfer-encoding": "HTTP_TRANSFER_ENCODING",
    b"x-request-id": "HTTP_X_REQUEST_ID",
}
"""The headers that views of the API read."""
_TYPE: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", problems.TYPE.encode("ascii"))
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_KEPT: Final = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in versions.KEPT.items()]
_NOT_KEPT: Final = (b"cache-control", b"no-store")


class HandedIn(NamedTuple):
    """A request that its view has handed to a service."""

    route: Route
    request: LoopRequest
    pending: Pending


def hand_in(route: Route, arguments: Mapping[str, Any], scope: Message, body: bytes) -> HandedIn | None:
    """Hand a request to its view on the event loop. Returns None, with nothing done, if it needs a thread."""
    meta = _meta_of(scope)
    if meta is None or "\0" in scope["path"]:
        return None
    caller, method = cached_caller(meta.get("HTTP_AUTHORIZATION", "")), scope["method"]
    if caller is None or not route.view.permits(caller, method) or not _is_served(meta.get("HTTP_HOST", "")):
        return None
    meta["inventory.request_id"] = context.identify(meta.get("HTTP_X_REQUEST_ID"))
    request = LoopRequest(method, scope["path"], meta, body, caller)
    try:
        pending = getattr(route.view(), method.lower())(request, **arguments)
    except Exception:  # noqa: BLE001 - raised again, and answered, in a thread
        return None
    if not isinstance(pending, Pending) or not throttling.passes_now(caller, method):
        return None
    return HandedIn(route, request, pending)


def _meta_of(scope: Message) -> dict[str, str] | None:
    """The query and the headers, as Django names them; None if a header is repeated, or the query isn't ASCII."""
    query: bytes = scope["query_string"]
    if not query.isascii():
        return None
    meta = {"QUERY_STRING": query.decode("ascii")} if query else {}
    for name, value in scope["headers"]:
        if known := _META.get(name):
            if known in meta:
                return None
            meta[known] = value.decode("latin1")
    return meta


def has_cached_token(scope: Message) -> bool:
    """Whether a request's token is in the cache of valid tokens, so that no query is needed."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    return len(sent) == 1 and cached_caller(sent[0].decode("latin1")) is not None


@lru_cache(1024)
def _is_served(host: str) -> bool:
    if len(host) > _HOST_LIMIT:
        return False
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


async def answer(handed_in: HandedIn, send: Send, answering: Answering) -> None:
    """Answer a request that was handed in, once it is decided."""
    request = handed_in.request
    answering.route = handed_in.route.pattern
    answering.request_id = request.META["inventory.request_id"]
    answering.client = request.user.name
    try:
        outcome = await handed_in.pending.submission.outcome_on_loop()
        status, body, headers = _render(handed_in, outcome)
    except DomainError as error:
        status, body, headers = _refused(request, error, answering.request_id)
    except Exception as error:  # noqa: BLE001 - each becomes a problem document
        await _send_problem(request, error, send, answering)
        return
    headers += [_NO_SNIFFING, (b"x-request-id", answering.request_id.encode("ascii"))]
    headers += _encoded(deprecation.headers_of(request.path))
    headers += throttling.raw_headers_for(request.user)
    await send({"type": "http.response.start", "status": status, "headers": draining.closing(headers)})
    await send({"type": "http.response.body", "body": body})
    answering.answered(status, len(body))


def _render(handed_in: HandedIn, outcome: Any) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """The status, the body as it is sent, and the headers of an answer. Charges the client for a command.

    Raises Invalid for a malformed ``If-None-Match``.
    """
    request, pending = handed_in.request, handed_in.pending
    is_replay = isinstance(outcome, StoredAnswer)
    answer = outcome if is_replay else pending.render(outcome)
    headers = [(b"idempotent-replayed", b"true")] if is_replay else []
    if answer.status == HTTPStatus.CREATED:
        headers.append((b"location", location_of(handed_in.route.view.created, answer.body).encode("ascii")))
    if pending.is_tagged:
        tag, is_new = versions.tag_if_new(answer.body, request.META.get("HTTP_IF_NONE_MATCH"))
        headers += _KEPT
        if not is_new:
            return HTTPStatus.NOT_MODIFIED, b"", [*headers, (b"etag", tag.encode("latin1"))]
    throttling.charge_command(request, answer.status, len(answer.body))
    body, packing = compression.packed(answer.body, request.META.get("HTTP_ACCEPT_ENCODING", ""))
    if pending.is_tagged:
        tag = compression.tag_of_packed(tag) if body is not answer.body else tag
        headers.append((b"etag", tag.encode("latin1")))
        packing = [each for each in packing if each[0] != b"vary"]  # Said by ``KEPT``.
    else:
        headers.append(_NOT_KEPT)
    return answer.status, body, [_TYPE, *headers, *packing, (b"content-length", b"%d" % len(body))]


def _refused(request: LoopRequest, error: DomainError, request_id: str) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """The status, the body as it is sent, and the headers of a refusal."""
    status, document, named = problems.refusal(error, request_id)
    body, packing = compression.packed(document, request.META.get("HTTP_ACCEPT_ENCODING", ""))
    headers = [_PROBLEM, _NOT_KEPT, *_encoded(named), *packing, (b"content-length", b"%d" % len(body))]
    return status, body, headers


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("ascii"), value.encode("latin1")) for name, value in headers.items()]


async def _send_problem(request: LoopRequest, error: Exception, send: Send, answering: Answering) -> None:
    response = problem_of(request, error, answering.request_id)
    deprecation.mark(response, request.path)
    for name, value in throttling.headers_for(request.user).items():
        response.headers[name] = value
    await send_whole(response, send)
    answering.answered(response.status_code, len(response.content))


def problem_of(request: Request, error: Exception, request_id: str) -> HttpResponse:
    """The problem document for an error on the loop."""
    context.begin(request_id)
    response = problems.exception_handler(error, {"request": request})
    response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    compression.pack(response, request)
    return response


async def send_whole(response: HttpResponse, send: Send) -> None:
    """Send a response of Django that is complete."""
    await send(start_of(response))
    await send({"type": "http.response.body", "body": response.content})


def start_of(response: HttpResponseBase) -> Message:
    """The message that begins a response of Django."""
    headers = [(name.lower().encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    cookies = [(b"set-cookie", cookie.OutputString().encode("latin1")) for cookie in response.cookies.values()]
    sent = draining.closing(headers + cookies)
    return {"type": "http.response.start", "status": response.status_code, "headers": sent}
