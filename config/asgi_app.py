"""The ASGI application: the calls of a flash sale are answered on the event loop, all others in threads.

Calls of a checkout wait on the loop for the transaction or the read that they share (``inventory.combining``): a
thread for each call took longer than the rest of its Python code (docs/explanation/adr/0005). A call that needs more
than that, such as an error or a look-up of its token, goes to a thread like all others, with nothing done for it yet.
"""

import asyncio
import gc
import sys
from functools import cache
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
from django.urls import get_resolver, set_script_prefix
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit import context, traces
from audit.api import deprecation
from audit.api.following import FollowingResponse
from audit.db import service_role
from audit.errors import DomainError, Throttled
from config import connections, draining, listening, on_loop, orphans, problems, structs, throttling
from config.answering import Answering
from config.bodies import Body, Budget, Gone, Message, Receive, Refused, has_none
from config.lanes import Lanes
from config.loop_routes import Routes
from config.metrics import programs
from config.streams import Send, send_stream

_TURN_SECONDS: Final = 0.0005
"""How long a thread, such as one that makes a page of the console, may run Python code while calls wait."""
_OBJECTS_BEFORE_COLLECTION: Final = 20_000
"""How many objects must be made, beyond those freed, before the garbage collector searches the new ones; Python's
default is 700. A request of 200 lines makes thousands, which are freed without the collector."""
ALIVE: Final = "/health/live"


class Application(BaseHandler):
    """Django's handler, with a fast path on the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()
        self._lanes = Lanes(settings.WEB_SERVES)
        self._budget = Budget(settings.BODIES_LIMIT_BYTES)
        self.routes = Routes()

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
            await on_loop.send_whole(cast(HttpResponse, alive), send)
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
            await on_loop.send_whole(response, send)
            answering.answered(refusal.status, len(response.content))

    async def _answer(
        self, scope: Message, receive: Receive, send: Send, answering: Answering
    ) -> HttpResponseBase | None:
        """Answer a request; a response that goes on is returned instead, when the request's body is gone."""
        body = Body(scope, receive, self._budget, self._ask_who)
        try:
            found = self.routes.find(scope["path"], scope["method"])
            content = None if found is not None and has_none(scope) else await body.read()
            if found is not None and (handed_in := on_loop.hand_in(*found, scope, content or b"")):
                await on_loop.answer(handed_in, send, answering)
                return None
            content = await body.read() if content is None else content
            response = await self._lanes.lane_of(scope).run(self._respond, scope, content, answering)
            if not isinstance(response, HttpResponse) or _goes_on(response):
                return response
            await on_loop.send_whole(response, send)
            answering.answered(response.status_code, len(response.content))
        finally:
            body.give_back()
        return None

    async def _send_stream(self, response: HttpResponseBase, scope: Message, receive: Receive, send: Send) -> None:
        lane = self._lanes.lane_of(scope)
        if scope["method"] == "HEAD":
            await lane.go_on(response.close)
            await send(on_loop.start_of(response))
            await send({"type": "http.response.body", "body": b""})
        else:
            await send_stream(response, lane, on_loop.start_of(response), receive, send)

    async def _ask_who(self, scope: Message) -> bool:
        if scope["path"].startswith("/api/") and on_loop.has_cached_token(scope):
            return True
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
            gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
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


def _goes_on(response: HttpResponse) -> bool:
    return isinstance(response, FollowingResponse) and response.following is not None


async def _follow(response: FollowingResponse, scope: Message, receive: Receive, send: Send) -> int:
    """Complete an answer as events come. Errors of a long poll, of which nothing was sent, become problem documents.

    Returns the status.
    """
    request = ASGIRequest(scope, BytesIO())
    try:
        accepted = request.META.get("HTTP_ACCEPT_ENCODING", "")
        await listening.follow(response, on_loop.start_of(response), receive, send, accept_encoding=accepted)
    except (DomainError, DatabaseError) as error:
        request.META["inventory.request_id"] = request_id = response.headers["X-Request-ID"]
        problem = on_loop.problem_of(Request(request), error, request_id)
        await on_loop.send_whole(problem, send)
        return problem.status_code
    return response.status_code
