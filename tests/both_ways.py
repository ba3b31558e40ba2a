"""Requests to the ASGI application, which answers some on the event loop, and to Django's full stack."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from django.db import connection, connections

from config.asgi_app import Application
from config.lanes import Lanes
from tests.conftest import Api
from tests.loops import run

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers by their names as in ``Content-Type``, and body."""


class _Closing(Lanes):
    """Lanes whose threads leave no connection open."""

    def lane_of(self, scope: Any) -> Any:
        return self

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.to_thread(_run_and_close, function, *arguments)


def _run_and_close(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    finally:
        connections.close_all()


def make_application() -> Application:
    """The ASGI application. Its threads leave no connection open."""
    application = Application()
    application._lanes = _Closing()
    return application


async def answer_of(
    application: Application, method: str, path: str, body: bytes, headers: list[tuple[str, str]]
) -> Answer:
    """Answer a request by the ASGI application. ``path`` is as a client sends it, with its query."""
    sent = [("host", "localhost"), ("content-length", str(len(body))), *headers]
    before, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "path": unquote(before),
        "raw_path": before.encode(),
        "method": method,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin1")) for name, value in sent],
    }
    answer: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message)

    await application(scope, receive, send)
    assert connection.connection is None, "a view asked the database on the event loop"
    got = {name.decode().title(): value.decode("latin1") for name, value in answer[0]["headers"]}
    return answer[0]["status"], got, b"".join(message.get("body", b"") for message in answer)


def ask(
    token: str,
    path: str,
    body: bytes,
    *headers: tuple[str, str],
    method: str = "POST",
    application: Application | None = None,
) -> Answer:
    """The answer of the ASGI application, to JSON unless the headers say otherwise."""
    named = {name for name, _ in headers}
    typed = [] if "content-type" in named else [("content-type", "application/json")]
    asked = [("authorization", f"Bearer {token}"), *typed, *headers]
    return run(answer_of(application or make_application(), method, path, body, asked))


def through_django(token: str, path: str, body: bytes, *headers: tuple[str, str], method: str = "POST") -> Answer:
    """The answer of Django's full stack."""
    sent = {name.replace("-", "_").title(): value for name, value in headers}
    response = Api(token).send(method, path, body, **sent)
    return response.status_code, {name.title(): value for name, value in response.items()}, response.content
