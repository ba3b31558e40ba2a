"""`make demo`: it becomes ready, and leaves no process behind however it ends."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import redis

from config import demo, demo_lock, serve
from config.environment import Environment

REPOSITORY = Path(demo.__file__).resolve().parent.parent
PATIENCE_SECONDS = 60
FROM_START_TO_BANNER = re.compile(
    r"Starting with the data in [^\n]+\.\.\.\n(Loaded [^\n]+\nLogin and tokens are in [^\n]+\n)?\nReady at +http"
)
"""All that is printed up to the banner: no line of a log."""


class Demo:
    """A running demonstration."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.output = data_dir.parent / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.demo", "--env-file", os.fspath(data_dir / "demo.env")],
                cwd=REPOSITORY,
                env={
                    "PATH": os.defpath,
                    "DATA_DIR": os.fspath(data_dir),
                    "PORT": str(port),
                    "METRICS_PORT": str(free_port()),  # Others may start demonstrations at the same time.
                    "INBOX_STREAM": "shop:orders",
                    "LOG_SLOW_SECONDS": "600",  # A busy machine may take longer than usual to say that it is ready.
                    # Nothing here has to survive a power cut.
                    "EMBEDDED_POSTGRES_OPTIONS": "-c fsync=off",
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> str:
        """Wait for the banner. Returns the output so far."""
        assert eventually(lambda: "Ready at" in self.output.read_text() or self.process.poll() is not None)
        printed = self.output.read_text()
        assert "Ready at" in printed, printed
        assert FROM_START_TO_BANNER.match(printed), printed
        return printed

    def redis(self) -> redis.Redis:
        """A connection to its Redis."""
        status = json.loads((self.data_dir / "embedded.json").read_text())
        return redis.Redis(unix_socket_path=f"{status['socket_dir']}/redis")

    def pids(self) -> set[int]:
        """All of its processes, the servers and their supervisor included."""
        status = json.loads((self.data_dir / "embedded.json").read_text())
        return tree(self.process.pid) | tree(status["supervisor_pid"])


def parents() -> dict[int, int]:
    """The parent of each process that lives."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


def tree(root: int) -> set[int]:
    by_child = parents()
    pids = {root}
    while more := {child for child, parent in by_child.items() if parent in pids} - pids:
        pids |= more
    return pids


def eventually(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A shared data folder, so that only the first start loads the demonstration data."""
    folder = Path(tempfile.mkdtemp(prefix="the demo "))
    folder.chmod(0o711)
    yield folder / "var"
    shutil.rmtree(folder, ignore_errors=True)  # The servers of a demonstration that was killed may be ending just now.


@pytest.fixture
def running(data_dir: Path, port: int) -> Iterator[Demo]:
    running = Demo(data_dir, port)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 0), (signal.SIGHUP, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_whatever_ends_the_demo_leaves_no_process(running: Demo, port: int, number: int, exit_code: int) -> None:
    printed = running.wait_until_ready()
    assert f"http://127.0.0.1:{port}/admin/" in printed
    pids = running.pids()
    running.process.send_signal(number)
    assert running.process.wait(PATIENCE_SECONDS) == exit_code
    assert eventually(lambda: not pids & parents().keys())


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_signal_during_the_start_leaves_no_process(running: Demo, number: int, exit_code: int) -> None:
    assert eventually(lambda: len(tree(running.process.pid)) > 5)
    pids = running.pids()
    running.process.send_signal(number)
    assert running.process.wait(PATIENCE_SECONDS) == exit_code
    assert eventually(lambda: not pids & parents().keys())


def test_interrupt_before_the_processes_start_leaves_no_process(running: Demo) -> None:
    assert eventually(lambda: "Starting" in running.output.read_text())
    pids = tree(running.process.pid)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE_SECONDS) == 0
    assert eventually(lambda: not pids & parents().keys())


def test_second_demonstration_on_a_folder_says_where_the_first_runs(running: Demo, port: int) -> None:
    running.wait_until_ready()
    for asked in (str(port), str(port + 1)):
        done = refused(DATA_DIR=os.fspath(running.data_dir), PORT=asked)
        [printed] = done.stderr.splitlines()
        where = f"at http://127.0.0.1:{port} (process {running.process.pid})"
        assert printed.startswith(f"A demonstration runs on {running.data_dir} already, {where}: ")
        assert (done.returncode, done.stdout) == (demo_lock.IS_RUNNING, "")
    running.process.kill()
    running.process.wait()
    # The lock ends with the last process, however they end.
    assert eventually(lambda: not is_locked(running.data_dir))


def is_locked(data_dir: Path) -> bool:
    try:
        demo_lock.refuse_second(data_dir)
    except SystemExit:
        return True
    return False


def test_demo_runs_without_debug(running: Demo, port: int) -> None:
    running.wait_until_ready()
    for pid in running.pids() - tree(json.loads((running.data_dir / "embedded.json").read_text())["supervisor_pid"]):
        given = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert b"DEBUG=true" not in given
    jar = urllib.request.HTTPCookieProcessor()
    browser = urllib.request.build_opener(jar, urllib.request.ProxyHandler({}))
    web = f"http://127.0.0.1:{port}"
    form = browser.open(f"{web}/admin/login/").read().decode()
    for asset in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', form)):
        assert browser.open(web + asset).status == 200, asset
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    credentials = json.loads((running.data_dir / "demo.json").read_text())["staff"]
    fields = urlencode({**credentials, "csrfmiddlewaretoken": token, "next": "/admin/"}).encode()
    assert browser.open(f"{web}/admin/login/", fields).url == f"{web}/admin/"
    with pytest.raises(urllib.error.HTTPError, match="404") as unknown:
        browser.open(f"{web}/nothing/here")
    page = unknown.value.read()
    assert b"/admin/" in page
    assert b"URLconf" not in page


BAD_PORTS = ("abc", "0", "99999", "-1", "", "80 80", "8000.0", "0x50", "８０８０", "1" * 40, "'", "8000;")


@pytest.mark.parametrize("given", BAD_PORTS)
def test_bad_port_is_one_line(given: str) -> None:
    environment = Environment({"PORT": given})
    environment.section("all").port("PORT", 8000, meaning="")
    [fault] = environment.faults.values()
    assert fault.startswith("PORT: ")
    assert "is not a whole number from 1 to 65,535" in fault
    assert "\n" not in fault


def test_make_passes_the_port_on_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((REPOSITORY / "Makefile").read_text())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "<%s>" "${PORT-unset}"\n')
    python.chmod(0o755)
    command = ["make", "--old-file=.venv/.requirements.lock", "demo"]
    bare = {name: value for name, value in os.environ.items() if name != "PORT" and not name.startswith("MAKE")}
    for given in ("8001", "", "80 80", "80'80", '"'):
        made = subprocess.run(
            [*command, f"PORT={given}"], cwd=tmp_path, env=bare, capture_output=True, text=True, check=True
        )
        assert made.stdout == f"<{given}>"
    made = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True)
    assert made.stdout == "<unset>"


def test_demo_consumes_events_and_one_dead_process_ends_the_rest_with_its_exit_code(running: Demo) -> None:
    running.wait_until_ready()
    events = running.redis()
    events.xadd("shop:orders", {"data": json.dumps({"eventId": str(uuid4()), "type": "OrderCreatedEvent", "data": {}})})
    assert eventually(
        lambda: any(
            group["last-delivered-id"] != b"0-0" and not group["pending"]
            for group in events.xinfo_groups("shop:orders")
        )
    )
    pids = running.pids()
    beat = next(pid for pid in pids if b"celerybeat-schedule" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(beat, signal.SIGKILL)
    assert running.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGKILL
    assert eventually(lambda: not pids & parents().keys())


def test_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused(DATA_DIR=os.fspath(tmp_path / "var"), PORT=str(port))
    assert done.returncode == serve.PORT_TAKEN
    assert done.stderr.startswith(f"Port {port} of 127.0.0.1 is taken")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "var").exists()


def test_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path, port: int) -> None:
    (tmp_path / "file").touch()
    done = refused(DATA_DIR=os.fspath(tmp_path / "file"), PORT=str(port))
    assert done.returncode == 1
    assert done.stderr == f"DATA_DIR: '{tmp_path}/file' can't be used (File exists). Choose another folder.\n"


def refused(**variables: str) -> subprocess.CompletedProcess[str]:
    """A demonstration that ends at once."""
    return subprocess.run(
        [sys.executable, "-m", "config.demo"],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_banner_has_every_way_in(tmp_path: Path) -> None:
    staff = {"username": "ada", "password": "lovelace"}
    tokens = {"checkout": "first", "warehouse": "second", "manager": "third"}
    addresses = demo.Addresses("http://127.0.0.1:8000", "http://127.0.0.1:9464/metrics", "unix:///run/redis")
    printed = demo.banner(addresses, {"staff": staff, "tokens": tokens}, tmp_path / "demo.env")
    assert all(value in printed for value in (*staff.values(), *tokens.values(), "/admin/", "/api/docs/"))
    assert addresses.metrics in printed
    assert f"source {tmp_path}/demo.env" in printed


def test_env_file_gives_a_shell_address_tokens_and_data_folder_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "var" / "demo.env"
    tokens = {"checkout": "first", "manager": "2nd"}
    addresses = demo.Addresses("http://127.0.0.1:8461", "http://127.0.0.1:9464/metrics", "unix:///run/redis")
    demo.write_env_file(file, addresses, Path("/data of ours"), tokens)
    names = '"$ADDRESS" "$CHECKOUT_TOKEN" "$MANAGER_TOKEN" "$DEMO_DATA_DIR" "$EVENT_STREAM_URL" "$METRICS_ADDRESS"'
    script = f'source "$1"; printf "%s\\n" {names}'
    shell = ["bash", "-c", script, "bash", os.fspath(file)]
    printed = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed == [addresses.web, "first", "2nd", "/data of ours", addresses.stream, addresses.metrics]
    assert file.stat().st_mode & 0o777 == 0o600
