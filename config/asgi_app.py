"""The ASGI application: the calls of a flash sale are answered on the event loop, all others in threads.

Reserve, consume and release wait on the loop for the transaction that they share (``reservations.group_commit``): a
thread for each call took longer than the rest of its Python code (docs/explanation/adr/0005). A call that needs more
than that, such as an error, a look-up of its token or the first count of its client, is answered in a thread like all
others, before anything was done for it.
"""

import asyncio
import gc
import sys
from functools import cache, lru_cache
from http import HTTPStatus
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Final, cast

from django.conf import settings
from django.contrib.auth import get_user
from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.db import DatabaseError, close_old_connections
from django.http import HttpResponse, HttpResponseBase
from django.http.request import split_domain_port, validate_host
from django.urls import get_resolver, resolve, set_script_prefix
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit import context, traces
from audit.api import deprecation
from audit.api.following import FollowingResponse
from audit.api.http import ApiView, LoopRequest, Pending
from audit.api.locations import location_of
from audit.authentication import cached_caller
from audit.db import service_role
from audit.errors import DomainError, Throttled
from audit.idempotency import StoredAnswer
from config import compression, connections, draining, listening, orphans, problems, structs, throttling
from config.answering import Answering
from config.bodies import Body, Budget, Gone, Message, Receive, Refused
from config.lanes import Lanes
from config.metrics import programs
from config.streams import Send, send_stream

_BASES: Final = ("/api/v1/inventory/", "/api/inventory/")
_CALLS_ON_THE_LOOP: Final = ("reserve", "consume", "release")
_HOST_LIMIT: Final = 255
_TURN_SECONDS: Final = 0.0005
"""How long a thread, such as one that makes a page of the console, may run Python code while calls wait."""
ALIVE: Final = "/health/live"
_META: Final = {
    b"accept-encoding": "HTTP_ACCEPT_ENCODING",
    b"authorization": "HTTP_AUTHORIZATION",
    b"content-encoding": "HTTP_CONTENT_ENCODING",
    b"content-length": "CONTENT_LENGTH",
    b"content-type": "CONTENT_TYPE",
    b"host": "HTTP_HOST",
    b"idempotency-key": "HTTP_IDEMPOTENCY_KEY",
    b"x-request-id": "HTTP_X_REQUEST_ID",
}
_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


class Application(BaseHandler):
    """Django's handler, with a fast path on the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()
        self._lanes = Lanes(settings.WEB_SERVES)
        self._budget = Budget(settings.BODIES_LIMIT_BYTES)
        self.views_on_loop: dict[str, type[ApiView]] = {
            base + call: resolve(base + call).func.view_class  # type: ignore[attr-defined]
            for base in _BASES
            for call in _CALLS_ON_THE_LOOP
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        with draining.requests:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == ALIVE:
            # Must not wait for a thread: the probe would take the process for dead.
            alive = self.get_response(ASGIRequest(scope, BytesIO()))
            await _send(cast(HttpResponse, alive), send)
            return
        answering = Answering(scope["method"])
        try:
            self._lanes.refuse_misdirected(scope["path"])
            unfinished = await self._answer(scope, receive, send, answering)
            if isinstance(unfinished, FollowingResponse):
                status = await _follow(unfinished, scope, receive, answering.counting(send))
                answering.ended(status, waits=True)
            elif unfinished is not None:
                answering.begun(unfinished.status_code)
                await self._send_stream(unfinished, scope, receive, answering.counting(send))
                answering.ended(unfinished.status_code, waits=True)
        except Gone:
            return
        except Refused as refusal:
            response = await self._lanes.others.run(_refuse, scope, refusal.status)
            answering.request_id = response.headers["X-Request-ID"]
            await _send(response, send)
            answering.answered(refusal.status, len(response.content))

    async def _answer(
        self, scope: Message, receive: Receive, send: Send, answering: Answering
    ) -> HttpResponseBase | None:
        """Answer a request; a response that goes on is returned instead, when the request's body is gone."""
        body = Body(scope, receive, self._budget, self._ask_who)
        try:
            content = await body.read()
            view = self.views_on_loop.get(scope["path"])
            if view is not None and (handed_in := _hand_in(view, scope, content)):
                answering.route = scope["path"]
                await _answer(*handed_in, send, answering, view.created)
                return None
            response = await self._lanes.lane_of(scope).run(self._respond, scope, content, answering)
            if not isinstance(response, HttpResponse) or _goes_on(response):
                return response
            await _send(response, send)
            answering.answered(response.status_code, len(response.content))
        finally:
            body.give_back()
        return None

    async def _send_stream(self, response: HttpResponseBase, scope: Message, receive: Receive, send: Send) -> None:
        lane = self._lanes.lane_of(scope)
        if scope["method"] == "HEAD":
            await lane.go_on(response.close)
            await send(_start(response))
            await send({"type": "http.response.body", "body": b""})
        else:
            await send_stream(response, lane, _start(response), receive, send)

    async def _ask_who(self, scope: Message) -> bool:
        return await self._lanes.others.run(_is_known, scope)

    def _respond(self, scope: Message, body: bytes, answering: Answering) -> HttpResponseBase:
        """Answer a request with Django's full stack. A streaming response is left open."""
        set_script_prefix(scope.get("root_path", ""))
        signals.request_started.send(sender=type(self), scope=scope)
        with BytesIO(body) as stream:
            request = ASGIRequest(scope, stream)
            response: HttpResponseBase = self.get_response(request)
            answering.know(request)
        if response.streaming:
            close_old_connections()
        else:
            response.close()
        return response


async def _live(receive: Receive, send: Send) -> None:
    """Handle the lifespan protocol: load everything at startup, and confirm startup and shutdown."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _ = get_resolver().url_patterns  # Loads every view now, not with the first request.
            structs.build(structs.kinds())
            gc.collect()
            orphans.end_with_server()
            connections.watch()
            draining.at_signals()
            if settings.WEB_SERVES == "all":
                sys.setswitchinterval(_TURN_SECONDS)
            programs.begin_web()
            traces.begin_program("web")
            service_role.warn_at_start()
            gc.freeze()  # A collection of all objects of Django would delay a hundred requests.
        else:
            await asyncio.to_thread(traces.end)
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _is_known(scope: Message) -> bool:
    """Whether the caller is a client with a valid token, or a person who is logged in. Raises Refused, 503, if the
    database is away."""
    request = ASGIRequest(scope, BytesIO())
    try:
        if problems.is_api(request):
            return throttling.ThrottledTokenAuthentication().authenticate(Request(request)) is not None
        request.session = _sessions().SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        return get_user(request).is_authenticated
    except (AuthenticationFailed, Throttled):
        return False
    except DatabaseError as error:
        raise Refused(503) from error
    finally:
        close_old_connections()


@cache
def _sessions() -> ModuleType:
    return import_module(settings.SESSION_ENGINE)


def _refuse(scope: Message, status: int) -> HttpResponse:
    """The answer to a request that no view sees."""
    request = ASGIRequest(scope, BytesIO())
    request_id = request.META["inventory.request_id"] = context.begin(request.META.get("HTTP_X_REQUEST_ID"))
    response = problems.refused(request, status)
    response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Length"] = str(len(response.content))
    deprecation.mark(response, request.path)
    return response


def _hand_in(view: type[ApiView], scope: Message, body: bytes) -> tuple[LoopRequest, Pending] | None:
    """Hand a request to its view on the event loop. Returns None, with nothing done, if it needs a thread."""
    meta: dict[str, str] = {}
    for name, value in scope["headers"]:
        if known := _META.get(name):
            if known in meta:
                return None
            meta[known] = value.decode("latin1")
    caller = cached_caller(meta.get("HTTP_AUTHORIZATION", ""))
    if caller is None or not view.permits(caller, "POST"):
        return None
    host = meta.get("HTTP_HOST", "")
    if scope["method"] != "POST" or scope["query_string"] or len(host) > _HOST_LIMIT or not _is_served(host):
        return None
    meta["inventory.request_id"] = context.identify(meta.get("HTTP_X_REQUEST_ID"))
    request = LoopRequest(scope["path"], meta, body, caller)
    try:
        pending = view().post(request)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - raised again, and answered, in a thread
        return None
    return (request, pending) if isinstance(pending, Pending) and throttling.passes_now(caller) else None


@lru_cache(1024)
def _is_served(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


async def _answer(request: LoopRequest, pending: Pending, send: Send, answering: Answering, created: str) -> None:
    """Answer a request that was handed in. ``created`` is the path of what an answer with 201 has created."""
    answering.request_id = request_id = request.META["inventory.request_id"]
    answering.client = request.user.name
    headers = [*_HEADERS, (b"x-request-id", request_id.encode("ascii"))]
    try:
        outcome = await pending.submission.outcome_on_loop()
        if isinstance(outcome, StoredAnswer):
            headers.append((b"idempotent-replayed", b"true"))
        answer = outcome if isinstance(outcome, StoredAnswer) else pending.render(outcome)
        if answer.status == HTTPStatus.CREATED:
            headers.append((b"location", location_of(created, answer.body).encode("ascii")))
    except Exception as error:  # noqa: BLE001 - each becomes a problem document
        problem = _problem(request, error, request_id)
        deprecation.mark(problem, request.path)
        for name, value in throttling.headers_for(request.user).items():
            problem.headers[name] = value
        await _send(problem, send)
        answering.answered(problem.status_code, len(problem.content))
        return
    throttling.charge(request.user, len(request.body) + len(answer.body))
    named = deprecation.headers_of(request.path) | throttling.headers_for(request.user)
    headers += [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in named.items()]
    body, more = compression.packed(answer.body, request.META.get("HTTP_ACCEPT_ENCODING", ""))
    headers += [*more, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": draining.closing(headers)})
    await send({"type": "http.response.body", "body": body})
    answering.answered(answer.status, len(body))


def _problem(request: Request, error: Exception, request_id: str) -> HttpResponse:
    """The problem document for an error on the loop."""
    context.begin(request_id)
    response = problems.exception_handler(error, {"request": request})
    response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    compression.pack(response, request)
    return response


def _goes_on(response: HttpResponse) -> bool:
    return isinstance(response, FollowingResponse) and response.following is not None


async def _follow(response: FollowingResponse, scope: Message, receive: Receive, send: Send) -> int:
    """Complete an answer as events come. Errors of a long poll, of which nothing was sent, become problem documents.

    Returns the status.
    """
    request = ASGIRequest(scope, BytesIO())
    try:
        accepted = request.META.get("HTTP_ACCEPT_ENCODING", "")
        await listening.follow(response, _start(response), receive, send, accept_encoding=accepted)
    except (DomainError, DatabaseError) as error:
        request.META["inventory.request_id"] = request_id = response.headers["X-Request-ID"]
        problem = _problem(Request(request), error, request_id)
        await _send(problem, send)
        return problem.status_code
    return response.status_code


async def _send(response: HttpResponse, send: Send) -> None:
    await send(_start(response))
    await send({"type": "http.response.body", "body": response.content})


def _start(response: HttpResponseBase) -> Message:
    headers = [(name.lower().encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    cookies = [(b"set-cookie", cookie.OutputString().encode("latin1")) for cookie in response.cookies.values()]
    sent = draining.closing(headers + cookies)
    return {"type": "http.response.start", "status": response.status_code, "headers": sent}
