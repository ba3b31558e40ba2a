"""A process that serves only the API or only the console (``WEB_SERVES``)."""

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from django.conf import LazySettings

from config.asgi_app import Application
from config.environment import Environment
from tests.loops import run

PATHS = ("/api/v1/inventory/reserve", "/api/v1/levels", "/api/docs/", "/admin/", "/admin/login/", "/health/live", "/x")


def answer(application: Application, path: str, method: str = "GET") -> tuple[int, bytes]:
    """What the application answers to a stranger."""
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    run(application({**scope, "client": ("10.0.0.9", 1), "scheme": "http"}, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def misdirected(application: Application) -> set[str]:
    return {path for path in PATHS if answer(application, path)[0] == 421}


@pytest.mark.django_db
def test_each_part_refuses_the_others_paths_and_answers_probes(settings: LazySettings) -> None:
    found = {}
    for part in ("all", "api", "console"):
        settings.WEB_SERVES = part
        found[part] = misdirected(Application())
    console, api = {"/admin/", "/admin/login/"}, set(PATHS[:3])
    assert found == {"all": set(), "api": console, "console": api}


@pytest.mark.django_db
def test_a_refusal_says_whose_mistake_it_is(settings: LazySettings) -> None:
    settings.WEB_SERVES = "console"
    status, body = answer(Application(), "/api/v1/inventory/reserve", "POST")
    problem = json.loads(body)
    assert (status, problem["code"], "WEB_SERVES" in problem["detail"]) == (421, "misdirected", True)
    settings.WEB_SERVES = "api"
    status, body = answer(Application(), "/admin/login/", "POST")
    assert (status, b"Not served here" in body, b"WEB_SERVES" in body) == (421, True, True)


def test_another_word_is_a_fault() -> None:
    environment = Environment({"WEB_SERVES": "shop"})
    environment.section("Tests").choice("WEB_SERVES", "all", ("all", "api", "console"), unit="", meaning="")
    assert "WEB_SERVES: 'shop' is not one of all, api, console" in environment.faults["WEB_SERVES"]
