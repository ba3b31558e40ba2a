"""How fast webhooks come to a receiver that answers at once, while the receiver of another subscription hangs."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

from benchmarks.cluster import REPOSITORY, BenchmarkFailed, Connection, served, stop
from benchmarks.receiver import Received
from benchmarks.relay import commit, commit_backlog, relay
from benchmarks.service import Service

EVENTS: Final = 10_000
QUICK_EVENTS: Final = 2_000
_FIRST_EVENTS: Final = 5
_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_SETTINGS: Final = {"WEBHOOK_ALLOW_HTTP": "true", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}


def sent_per_second(service: Service, repeats: int, events: int) -> list[float]:
    """The webhooks a second of each repeat, from the first commit to the receipt of the last of ``events``.

    A relay process sends each event, in any order, to two addresses of a receiver: to one that acknowledges at once,
    and to one that never answers. Raises BenchmarkFailed.
    """
    stream = f"bench:{uuid4()}"
    environment = service.environment(LOG_LEVEL="WARNING", **_SETTINGS)
    with (
        TemporaryDirectory() as folder,
        served("config.asgi:application", environment, Path(folder) / "web") as web_port,
        service.cluster.connect(service.database) as connection,
    ):
        api = _Api(web_port, service.issue_token())
        return [_sent_per_second(service, stream, api, connection, events) for _ in range(repeats)]


def _sent_per_second(service: Service, stream: str, api: "_Api", connection: Connection, events: int) -> float:
    # The receiver ends before the relay, which would wait for the requests that hang.
    with relay(service, stream, **_SETTINGS), receiver() as port:
        webhooks = [api.subscribe(f"http://127.0.0.1:{port}/{path}") for path in ("fast", "hang")]
        commit(connection, _FIRST_EVENTS)
        wait_for(port, lambda found: found.events == _FIRST_EVENTS and found.hanging > 0)
        started_at = time.monotonic()
        commit_backlog(connection, events)
        found = wait_for(port, lambda found: found.events == _FIRST_EVENTS + events)
    for webhook in webhooks:
        api.delete(webhook)
    return events / (found.last_at - started_at)


def wait_for(port: int, is_done: Callable[[Received], bool]) -> Received:
    """Wait for what a receiver is to have received. Raises BenchmarkFailed."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = Received(**_request(port, "GET", "/received"))
        if is_done(found):
            return found
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"Webhooks did not come in {_PATIENCE_SECONDS:.0f} s: {found}")
        time.sleep(_LOOK_SECONDS)


def _request(port: int, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
    """The JSON that a server on this machine answers. Raises BenchmarkFailed unless the answer is 2xx."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers if token else {})
        answer = connection.getresponse()
        text = answer.read()
    if not 200 <= answer.status < 300:
        raise BenchmarkFailed(f"{method} {path}: {answer.status} {text.decode()}")
    decoded: dict[str, Any] = json.loads(text)
    return decoded


class _Api:
    """The routes of webhooks."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    def subscribe(self, url: str) -> str:
        """Add a webhook. Returns its id."""
        made = _request(self._port, "POST", "/api/v1/webhooks", {"name": "benchmark", "url": url}, self._token)
        return str(made["webhookId"])

    def delete(self, webhook_id: str) -> None:
        _request(self._port, "DELETE", f"/api/v1/webhooks/{webhook_id}", token=self._token)


@contextmanager
def receiver() -> Iterator[int]:
    """A receiver in a process of its own. Yields its port."""
    command = [sys.executable, "-m", "benchmarks.receiver"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603
        try:
            if child.stdout is None or not (line := child.stdout.readline()):
                raise BenchmarkFailed("The receiver of webhooks did not start.")
            yield int(line)
        finally:
            stop(child)
