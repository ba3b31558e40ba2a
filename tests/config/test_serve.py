"""The image's web server and its health check: one server a port, and a probe that leaves nothing behind."""

import errno
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings
from django.db import connection

from config import serve
from tests.config.test_demo import eventually, parents, tree

REPOSITORY: Final = Path(serve.__file__).resolve().parent.parent
DOCKERFILE: Final = (REPOSITORY / "Dockerfile").read_text()
PATIENCE_SECONDS: Final = 60.0
WORKERS: Final = 2


def command_of(instruction: str) -> list[str]:
    """The words of an instruction of the Dockerfile in its exec form, with this Python for the image's."""
    found = re.search(rf"^{instruction}(?:[^\[\n]|\\\n)*(\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found, instruction
    program, *arguments = json.loads(found[1])
    assert program == "python"
    return [sys.executable, *arguments]


def image_environment() -> dict[str, str]:
    """What the image's last ENV sets for the server."""
    found = re.findall(r"^ENV (.*HOST=.*)$", DOCKERFILE, re.MULTILINE)
    assert len(found) == 1
    return dict(pair.split("=", 1) for pair in found[0].split())


TIMEOUT_SECONDS: Final = int(re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s", DOCKERFILE, re.MULTILINE)[0])


class Place:
    """A free port of this machine, and the environment of processes that serve the tests' database there."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        parsed = connection.settings_dict
        self.environment = {
            "PATH": os.defpath,
            **image_environment(),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_URL": f"postgres://{parsed['USER']}@/{parsed['HOST']}/{parsed['NAME']}",
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": "0123456789-" * 6,
            "ALLOWED_HOSTS": "stock.example",
            "GRANIAN_WORKERS": str(WORKERS),
            "SHUTDOWN_GRACE_SECONDS": "0",  # No proxy needs time to notice that it stops.
            "STATIC_ROOT": str(settings.STATIC_ROOT),
        }

    def start(self) -> subprocess.Popen[str]:
        """The image's CMD."""
        return subprocess.Popen(
            command_of("CMD"),
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def probe(self) -> subprocess.CompletedProcess[str]:
        """Run the image's HEALTHCHECK."""
        return subprocess.run(
            command_of("HEALTHCHECK"),
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@pytest.fixture
def place(db: None) -> Place:
    return Place()


@pytest.fixture
def server(place: Place) -> Iterator[subprocess.Popen[str]]:
    process = place.start()
    try:
        assert eventually(lambda: serve.is_ready(f"http://127.0.0.1:{place.port}") or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]
        assert eventually(lambda: len(listeners(place.port)) == WORKERS)  # Each worker has a socket of its own.
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def listeners(port: int) -> list[str]:
    """The sockets that listen on this port, as the kernel lists them."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()]
    return [words[9] for words in lines if words[1].endswith(f":{port:04X}") and words[3] == "0A"]


def serves(pid: int, port: int) -> bool:
    """Whether a process was started for this port."""
    try:
        return f"PORT={port}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def test_health_check_asks_the_server_and_leaves_nothing(place: Place, server: "subprocess.Popen[str]") -> None:
    before = listeners(place.port), tree(server.pid)
    for _ in range(2):
        probe = place.probe()
        assert (probe.returncode, probe.stdout + probe.stderr) == (0, "")
    assert (listeners(place.port), tree(server.pid)) == before
    assert not [pid for pid in parents() if pid not in before[1] and serves(pid, place.port)]


def test_server_warns_of_a_superuser_when_it_starts(place: Place) -> None:
    """The role of the tests is one."""
    process = place.start()
    end = threading.Timer(PATIENCE_SECONDS, process.kill)
    end.start()
    try:
        assert process.stdout is not None
        assert any("a superuser" in line and "CREATE ROLE inventory_app" in line for line in process.stdout)
    finally:
        end.cancel()
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_health_check_fails_where_nothing_is_ready(place: Place) -> None:
    assert place.probe().returncode != 0
    with socket.create_server(("127.0.0.1", place.port)):  # Takes connections, and answers none.
        assert place.probe().returncode != 0
    assert listeners(place.port) == []


def test_second_server_is_refused_the_port_beside_several_workers(
    place: Place, server: "subprocess.Popen[str]"
) -> None:
    before = listeners(place.port), tree(server.pid)
    assert len(before[1]) >= 3
    second = place.start()
    printed, _ = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == serve.PORT_TAKEN
    assert printed == f"Port {place.port} of 127.0.0.1 is taken: choose another one, such as PORT={place.port + 1}.\n"
    assert (listeners(place.port), tree(server.pid)) == before


def test_port_is_refused_before_the_first_server_listens(place: Place) -> None:
    with serve.hold_port("127.0.0.1", place.port):
        assert listeners(place.port) == []
        with pytest.raises(SystemExit):
            serve.hold_port("127.0.0.1", place.port)
        with socket.socket() as shared:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind(("127.0.0.1", place.port))  # As granian does.


@pytest.mark.parametrize(
    ("port", "wrong", "sentence"),
    [
        (65_535, errno.EADDRINUSE, r"Port 65535 of 127\.0\.0\.1 is taken: choose another one, such as PORT=8\d\d\d\."),
        (
            80,
            errno.EACCES,
            r"Port 80 of 127\.0\.0\.1 is for administrators: choose one from 1024 on, such as PORT=8\d\d\d\.",
        ),
    ],
)
def test_refused_port_is_a_sentence_with_a_port_that_can_be_used(
    port: int, wrong: int, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = serve._bound

    def refuse(host: str, asked: int) -> socket.socket:
        if asked == port:
            raise OSError(wrong, "refused")
        return bound(host, asked)

    monkeypatch.setattr(serve, "_bound", refuse)
    with pytest.raises(SystemExit) as ended:
        serve.hold_port("127.0.0.1", port)
    assert ended.value.code == serve.PORT_TAKEN
    assert re.fullmatch(sentence, capsys.readouterr().err.rstrip("\n"))


@pytest.mark.parametrize("host", ["192.0.2.9", "no-such-host.invalid", "x" * 70, "a..b"])
def test_host_of_another_machine_is_a_sentence(host: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.hold_port(host, place.port)
    assert ended.value.code == serve.PORT_TAKEN
    [printed] = capsys.readouterr().err.splitlines()
    assert printed.startswith(f"HOST: {host!r} is not an address of this machine (")


def test_health_check_is_not_the_start_command() -> None:
    assert command_of("HEALTHCHECK") != command_of("CMD")
    assert serve.READY_TIMEOUT_SECONDS < TIMEOUT_SECONDS


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("192.0.2.1", "http://192.0.2.1:80")],
)
def test_server_is_asked_on_this_machine(host: str, address: str) -> None:
    assert serve.address_of(host, 80) == address
