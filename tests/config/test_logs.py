"""Logs are JSON lines without secrets, and others can't make them many, long or false."""

import io
import json
import logging
import logging.config
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
import structlog
from django.conf import LazySettings
from django.conf import settings as own_settings

from config import logs
from config.environment import Environment
from config.logs import bounding, requests, tasks
from config.logs.bounding import BOUNDED, MOST, MOST_OF_LOGGER, WINDOW_SECONDS, Bounded
from config.logs.redacting import HIDDEN, Redactor, secrets_of

PROGRAM = """
import django
from config import settings
# The page is shown without collected files.
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
django.setup()
from django.test import Client
for _ in range(200):
    answer = Client(raise_request_exception=False).get("/admin/login/", headers={"Host": "x" * 5000 + ".example"})
print(answer.status_code)
raise RuntimeError("postgres://u:hunter2@db/stock")
"""
ENVIRONMENT = {
    "PATH": os.defpath,
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "DATABASE_URL": "postgres://u:p@db.example/stock",
    "REDIS_URL": "redis://redis.example",
    "SECRET_KEY": "0123456789" * 6,
    "ALLOWED_HOSTS": "shop.example",
}
PASSWORD = "hunter2/%&?"


def test_program_writes_json_alone_and_a_refused_host_is_a_short_line_a_few_times() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=own_settings.BASE_DIR,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "400\n", done.stderr
    assert (done.returncode, "hunter2" in done.stderr) == (1, False)
    *refused, uncaught, left_out = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(refused) == MOST
    for line in refused:
        assert line["event"].startswith("Invalid HTTP_HOST header: 'xxx")
        assert len(json.dumps(line)) < 800
        assert "exception" not in line
    assert (uncaught["event"], uncaught["level"]) == ("uncaught_error", "critical")
    assert "RuntimeError" in uncaught["exception"]
    assert (left_out["event"], left_out["number"]) == ("lines_left_out", 200 - MOST)
    assert left_out["of_logger"] == "django.security.DisallowedHost"


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger, and what it writes in production."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(secrets={"swordfish-7"}))
    logger = logging.getLogger("tests.secrets")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    "text",
    [
        "connecting to postgres://inventory:hunter2@db:5432/stock failed",
        "redis://:hunter2@redis/0 and rediss://u:h@unter2:hunter2@redis",
        "could not connect: host=db user=u password=hunter2 dbname=x",
        "could not connect: host=db password='hunter2 and more' dbname=x",
        'body {"password": "hunter2", "user": "u"}',
        "{'sasl.password': 'hunter2', 'client_secret': 'hunter2'}",
        "Authorization: Bearer hunter2hunter2",
        "headers: authorization=Basic hunter2hunter2==",
        "Bearer hunter2hunter2",
        "Cookie: sessionid=hunter2; csrftoken=hunter2",
        "/admin/?token=hunter2&next=/",
        "EMAIL_HOST_PASSWORD=hunter2",
        "webhook whsec_hunter2+/= and whsk_hunter2",
        "known swordfish-7 by value",
        f"token {'0123456789abcdef'}.{'a' * 43} of a client",
    ],
)
def test_secret_in_a_text_an_argument_and_an_exception_is_hidden(
    written: tuple[logging.Logger, io.StringIO], text: str
) -> None:
    logger, stream = written
    logger.warning(text)
    logger.warning("argument %s", text)
    logger.warning("%s", {"nested": [text]})
    for kind in (psycopg.OperationalError, redis.ConnectionError, OSError):
        try:
            raise kind(text)
        except kind as error:
            logger.exception("it failed: %s", error)  # noqa: TRY401 - as libraries do
    bound = structlog.wrap_logger(logger, processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter])
    bound.warning("event", error=text, more={"deep": [text, (text,)]}, thing=RuntimeError(text))
    written_lines = stream.getvalue().splitlines()
    assert len(written_lines) == 7
    for line in written_lines:
        json.loads(line)
        assert "hunter2" not in line, line
        assert "swordfish" not in line
        assert "a" * 43 not in line
        assert HIDDEN in line


@pytest.mark.parametrize(
    "key", ["password", "api_token", "Authorization", "cookies", "SECRET_KEY", "webhook_secret", "csrftoken", "dsn"]
)
def test_value_of_a_secret_key_is_hidden(key: str) -> None:
    line = Redactor()(None, "", {key: "hunter2", "more": {key: ["hunter2"]}})
    assert line == {key: HIDDEN, "more": {key: HIDDEN}}


def test_what_is_no_secret_stays() -> None:
    line = {
        "event": "token_expired",
        "client": "shop",
        "path": "/api/v1/tokens/?page=2",
        "idempotency_key": "k",
        "n": 5,
    }
    assert Redactor()(None, "", dict(line)) == line


def test_secrets_of_the_settings_are_known_in_each_form() -> None:
    environment = Environment({"URL": f"redis://:{quote(PASSWORD, safe='')}@redis", "KEY": "long-secret", "N": "x"})
    section = environment.section("Tests")
    for name in environment.given:
        section.text(name, unit="", meaning="", is_secret=name != "N")
    hidden = Redactor(secrets_of(environment))
    assert (
        hidden.text(f"a {PASSWORD} b {quote(PASSWORD, safe='')} c long-secret x")
        == f"a {HIDDEN} b {HIDDEN} c {HIDDEN} x"
    )


def test_long_and_broken_texts_stay_one_line(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    logger.warning("x" * 100_000)
    logger.warning('forged\n{"event": "false"}\x1b[2J\u2028\0\r')
    try:
        raise ValueError("y" * 100_000)
    except ValueError:
        logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line) < 18_000 for line in lines)
    assert json.loads(lines[1])["event"].startswith("forged\n{")
    assert "(100000 characters)" in lines[0]
    stream.truncate(0)
    logger.handlers[0].setFormatter(logs.formatter(json=False))
    logger.warning("forged\nwarning\x1b[2J")
    assert len(stream.getvalue().splitlines()) == 1


# --- volume ----------------------------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What this thread logs and a filter of its own lets pass."""
    passed: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = passed.append  # type: ignore[method-assign]
    bounded = Bounded(exempt=("requests",), clock=clock)
    monkeypatch.setattr(bounded, "_await_end", lambda: None)
    here = threading.get_ident()  # Threads that other tests have left behind may log, too.
    handler.addFilter(lambda record: record.thread == here)
    handler.addFilter(bounded)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    yield SimpleNamespace(passed=passed, bounded=bounded)
    root.handlers[:] = before
    root.setLevel(level)


CAUSES = [
    ("config.throttling", "throttling_without_redis", {"error": "Error 111 connecting to redis:6379"}),
    ("config.problems", "database_away", {"error": "connection refused"}),
    ("inventory.transactions", "database_connection_lost", {"error": "server closed"}),
    ("audit.streams.relay", "relay_waits", {"cause": "redis_away", "detail": "Error 111"}),
    ("audit.webhooks.courier", "webhook_attempt_failed", {"webhook": "one"}),
    ("audit.webhooks.running", "webhooks_database_away", {"error": "refused"}),
]


@pytest.mark.parametrize(("name", "event", "values"), CAUSES)
def test_same_line_is_written_a_few_times_a_minute_and_the_rest_counted(
    lines: Any, clock: Clock, name: str, event: str, values: dict[str, str]
) -> None:
    logger = structlog.get_logger(name)
    for number in range(500):
        logger.warning(event, number=number, **{key: f"{text}" for key, text in values.items()})
    assert len(lines.passed) == MOST
    structlog.get_logger(name).warning("another_event")
    structlog.get_logger("elsewhere").warning(event)
    assert len(lines.passed) == MOST + 2
    clock.now += WINDOW_SECONDS
    logger.warning(event, **values)
    left_out = [record.msg for record in lines.passed if record.name == bounding.__name__]
    assert [(line["of_event"], line["number"]) for line in left_out if line["of_event"] != "*"] == [(event, 480)]


def test_changing_texts_are_bounded_by_their_logger(lines: Any, clock: Clock) -> None:
    logger = logging.getLogger("changing")
    for number in range(2000):
        logger.error("".join(chr(97 + int(digit)) for digit in str(number)))
    assert len(lines.passed) == MOST_OF_LOGGER
    for number in range(2000):
        logging.getLogger(f"changing.{number}").error("an event")
    assert len(lines.bounded._windows) <= 500 + 2
    clock.now += WINDOW_SECONDS
    lines.bounded.report()
    assert lines.bounded._windows == {}


def test_kinds_of_errors_are_causes_of_their_own(lines: Any) -> None:
    for error in (ValueError("1"), KeyError("2")):
        for _ in range(50):
            try:
                raise error
            except Exception:
                structlog.get_logger("kinds").exception("failed")
                logging.getLogger("kinds").exception("failed, too")
    assert len(lines.passed) == 4 * MOST


def test_what_is_left_out_is_logged_though_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounding, "WINDOW_SECONDS", 0.05)
    reported = threading.Event()
    monkeypatch.setattr(bounding, "_log", lambda ended: reported.set() if ended else None)
    bounded = Bounded()
    for _ in range(MOST + 1):
        bounded.admits(bounding.Cause("x", logging.WARNING, "y", ""))
    assert reported.wait(20)


# --- requests --------------------------------------------------------------------------------------------------------


def log(status: int, seconds: float = 0.01, *, route: str = "/api/v1/x", waits: bool = False) -> None:
    requests.log_request("POST", route, status, seconds, size=120, client="shop", request_id="r-1", waits=waits)


def events_of(lines: Any) -> list[dict[str, Any]]:
    return [record.msg for record in lines.passed if record.name == "requests"]


@pytest.fixture
def own_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BOUNDED", Bounded())
    monkeypatch.setattr(requests.BOUNDED, "_await_end", lambda: None)


@pytest.mark.usefixtures("own_windows")
def test_line_of_a_request_has_its_facts(lines: Any, settings: LazySettings) -> None:
    settings.LOG_REQUESTS = "all"
    log(200, 0.0123)
    [line] = events_of(lines)
    assert {key: line[key] for key in ("event", "client", "method", "route", "status", "duration_ms", "bytes")} == {
        "event": "request",
        "client": "shop",
        "method": "POST",
        "route": "/api/v1/x",
        "status": 200,
        "duration_ms": 12.3,
        "bytes": 120,
    }
    assert line["request_id"] == "r-1"


@pytest.mark.usefixtures("own_windows")
def test_failed_and_slow_requests_are_logged_by_default_a_few_times_a_minute(
    lines: Any, settings: LazySettings
) -> None:
    assert settings.LOG_REQUESTS == "errors"
    log(200)
    log(200, 60, waits=True)
    assert events_of(lines) == []
    log(200, 1.5)
    log(503)
    assert [(line["status"], line["level"]) for line in events_of(lines)] == [(200, "warning"), (503, "warning")]
    for _ in range(5000):
        log(401)
    assert len(events_of(lines)) <= 2 + MOST
    settings.LOG_REQUESTS = "none"
    log(500, 5, route="/other")
    assert len(events_of(lines)) <= 2 + MOST


# --- other processes -------------------------------------------------------------------------------------------------


def test_task_has_the_id_of_the_request_that_sent_it() -> None:
    headers: dict[str, Any] = {}
    with structlog.contextvars.bound_contextvars(request_id="r-7"):
        tasks._send_request_id(headers)
    assert headers == {"request_id": "r-7"}
    try:
        tasks._bind("t-1", SimpleNamespace(request=headers, name="audit.tasks.beat"))
        bound = structlog.contextvars.get_contextvars()
        assert bound == {"request_id": "r-7", "task": "audit.tasks.beat", "task_id": "t-1"}
        tasks._bind("t-2", SimpleNamespace(request={}, name="audit.tasks.beat"))
        assert structlog.contextvars.get_contextvars()["request_id"] == "t-2"
    finally:
        tasks._unbind()
    assert structlog.contextvars.get_contextvars() == {}


def test_granian_writes_the_same_lines() -> None:
    given = json.loads((Path(logs.__file__).parent / "granian.json").read_text())
    own = logging.getLogger("_granian")
    before = (own.handlers[:], own.level, own.propagate)
    root = logging.getLogger().handlers[:]
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **given})
        [handler] = own.handlers
        record = logging.LogRecord("_granian", logging.INFO, "", 1, "Started worker-%d", (1,), None)
        assert json.loads(handler.format(record))["event"] == "Started worker-1"
        assert logging.getLogger().handlers == root
    finally:
        own.handlers[:], own.level, own.propagate = before


def test_own_filter_is_on_the_handler_of_the_process() -> None:
    assert any(BOUNDED in handler.filters for handler in logging.getLogger().handlers)
