"""The process that owns the servers of a data folder while clients are connected to it."""

import contextlib
import json
import os
import selectors
import shlex
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

from config.embedded.places import DATABASE, USER, EmbeddedUnavailable, ServerPaths, unavailable
from config.embedded.servers import TICK_SECONDS, Postgres, Redis, Server, end_leftover

GRACE_SECONDS = 1.0
RESTART_LIMIT = 5
RESTART_WINDOW_SECONDS = 60.0
TOUCH_SECONDS = 3600.0
LOG_LIMIT_BYTES = 5_000_000


class Supervisor:
    """Owns the servers of one data folder while clients are connected to its control socket."""

    def __init__(self, place: ServerPaths, postgres_options: list[str]) -> None:
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
            # First of all: a client that connects from here on is refused and starts a successor, which waits for the
            # lock.
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
        """Start the servers that a client asks for, and answer it. Returns False if it has disconnected."""
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
            if self.servers[name].child is None:
                try:
                    notes.append(self.servers[name].start())
                    self._write_status()
                except (EmbeddedUnavailable, OSError) as error:
                    _say(f"{name}: {error}")
                    is_expected = isinstance(error, EmbeddedUnavailable)
                    return {"error": str(error) if is_expected else unavailable(f"{name} could not start ({error})")}
        note = "; ".join(note for note in notes if note)
        if note:
            _say(note)
        return {"note": note} if note else {}

    def _keep(self) -> None:
        """Restart servers that died, shorten logs, and touch socket files, since old temporary files may be deleted."""
        for name, server in self.servers.items():
            if server.child is not None and server.child.poll() is not None:
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
            "postgres_pid": postgres.child.pid if postgres.child else None,
            "redis_pid": redis.child.pid if redis.child else None,
            "postgres_data": os.fspath(postgres.cluster) if isinstance(postgres, Postgres) and postgres.child else None,
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
    """Rotate a full log: copy it once and empty it; its writers append."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        shutil.copyfile(log, f"{log}.1")
        os.truncate(log, 0)


def _end_leftover_redis(place: ServerPaths) -> None:
    if place.status.exists():
        pid = json.loads(place.status.read_text())["redis_pid"]
        if pid is not None:
            end_leftover(pid, f"unixsocket {place.redis_socket}")


def main(arguments: list[str]) -> None:
    """Become the supervisor of a data folder: DATA_DIR, the descriptor of its lock, options of postgres.

    Returns when the servers have stopped. The process that was started ends as soon as the control socket listens.
    """
    data_dir, lock, postgres_options = arguments
    os.set_inheritable(int(lock), False)
    os.umask(0o077)
    place = ServerPaths.of(Path(data_dir))
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
