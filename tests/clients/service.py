"""The web server on the tests' own database, and a network before it that loses answers."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from django.conf import settings
from django.db import connection

from tests.faults.house import House, Web, free_port

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}
_BUSY = json.dumps(
    {"type": "about:blank", "title": "Busy", "status": 503, "detail": "-", "code": "busy", "requestId": "-"}
)


class Service(House):
    """The servers of the tests instead of servers of its own: nothing to start, to migrate or to stop."""

    def __init__(self, folder: Path, token: str) -> None:
        database = settings.DATABASE_URL.rpartition("/")[0]
        self.folder, self.data_dir = folder, settings.DATA_DIR
        self.urls = {"DATABASE_URL": f"{database}/{connection.settings_dict['NAME']}", "REDIS_URL": settings.REDIS_URL}
        self.token, self.port = token, free_port()


@contextmanager
def serving(folder: Path, token: str) -> Iterator[Service]:
    """Run the web server on the database of this test, which must be committed."""
    service = Service(folder, token)
    web = Web(service)
    try:
        yield service
    finally:
        web.kill()


class LossyNetwork(ThreadingHTTPServer):
    """Forwards requests. The answer to the first request with a key is lost, the next one gets 503, later ones pass."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarder)
        self.target = port
        self.attempts: Counter[str] = Counter()
        """Requests by Idempotency-Key."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "LossyNetwork":
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Forwarder(BaseHTTPRequestHandler):
    server: LossyNetwork

    def do_GET(self) -> None:
        self._answer(*self._forwarded(None))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        if key:
            self.server.attempts[key] += 1
        attempt = self.server.attempts[key] if key else 0
        if attempt == 2:
            self._answer(503, {"Content-Type": "application/problem+json", "Retry-After": "0"}, _BUSY.encode())
            return
        answer = self._forwarded(body)
        if attempt != 1:
            self._answer(*answer)

    def _forwarded(self, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=15)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
