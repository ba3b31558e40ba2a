"""Connect this process to the servers of a data folder, and start their supervisor if there is none."""

import atexit
import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl

from config.embedded.places import DATABASE, USER, EmbeddedUnavailable, ServerPaths, Urls, last_line, unavailable

JOIN_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.005

logger = logging.getLogger(__name__)
_connections: dict[tuple[Path, frozenset[str]], socket.socket] = {}


def urls(data_dir: Path, *, postgres: bool, redis: bool, postgres_options: str = "") -> Urls:
    """Return the addresses of the servers of `data_dir`, and start those requested that aren't running yet.

    They run at least as long as this process and its forks; calling it again costs nothing. `postgres_options` are
    further arguments of the postgres program (`-c fsync=off`); only those of the process that starts the supervisor
    have an effect.

    Raises EmbeddedUnavailable if they can't run, or aren't ready within a minute.
    """
    wanted = frozenset(name for name, asked in (("postgres", postgres), ("redis", redis)) if asked)
    if not wanted:
        return Urls(None, None)
    if sys.platform == "win32":
        raise EmbeddedUnavailable(unavailable("does not run on Windows"))
    place = ServerPaths.of(data_dir)
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
    """Disconnect from the servers of `data_dir`, as the end of this process does. Forks stay connected."""
    real = ServerPaths.of(data_dir).data_dir
    for key in [key for key in _connections if key[0] == real]:
        _connections.pop(key).close()


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _join(place: ServerPaths, wanted: frozenset[str], postgres_options: str) -> socket.socket:
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


def _refuse_strangers(place: ServerPaths) -> None:
    """Refuse a folder of another user: its name can be guessed, so that somebody else could have made it and listen."""
    if place.run_dir.is_symlink() or (place.run_dir.exists() and place.run_dir.lstat().st_uid != os.getuid()):
        raise EmbeddedUnavailable(unavailable(f"needs {place.run_dir}, which belongs to somebody else"))


def _ask(place: ServerPaths, wanted: frozenset[str]) -> socket.socket | None:
    """Return a connection whose servers are ready; None if no supervisor answers, or it is about to end."""
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
        raise EmbeddedUnavailable(unavailable(f"of {place.data_dir} does not answer")) from error
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


def _lock(place: ServerPaths) -> int | None:
    """Return a descriptor that holds the lock on starting; None if a supervisor or another client holds it."""
    path = place.data_dir / "embedded.lock"
    try:
        place.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedUnavailable(unavailable(f"needs the file {path} ({error.strerror})")) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _launch(place: ServerPaths, lock: int, postgres_options: str) -> None:
    """Start a supervisor, which is listening when this returns; it takes over the lock.

    Uses -P, so that it doesn't import from the working folder.
    """
    # Servers that run as nobody pass through the outer folder to their own; they can neither list nor change it.
    place.run_dir.mkdir(mode=0o711 if os.getuid() == 0 else 0o700, exist_ok=True)
    _refuse_strangers(place)
    folders = [os.fspath(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-P", "-m", "config.embedded.supervisor", os.fspath(place.data_dir), str(lock)]
    log = place.log("supervisor")
    with open(log, "ab") as output:
        launcher = subprocess.run(
            [*command, postgres_options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))},
            pass_fds=[lock],
            start_new_session=True,
            check=False,
        )
    if launcher.returncode != 0:
        raise EmbeddedUnavailable(unavailable(f"did not start ({last_line(log)})"))
