"""`python -m config.serve`: the web server, which refuses a port that is taken; `--is-ready` asks one that runs.

`HOST` and `PORT` say where, or `--host` and `--port`. All other arguments are granian's, and override those below.
"""

import argparse
import contextlib
import errno
import os
import socket
import sys
import urllib.request
from functools import partial
from http.client import HTTPException
from math import ceil
from pathlib import Path
from runpy import run_module
from typing import Final

from config import orphans, startup
from config.parsing import port, whole_number

PORT_TAKEN: Final = 2
_USUAL_PORT: Final = 8000
_FIRST_OPEN_PORT: Final = 1024
_LAST_PORT: Final = 65_535
READY_TIMEOUT_SECONDS: Final = 4.0
"""Less than the image's health check may take."""
SETTLE_SECONDS: Final = 4.0
"""How long a web process that stops waits for connections without a request: a second more than proxies keep them."""
COMPLETION_SECONDS: Final = 20
"""How long open requests may take once a web process accepts no further ones; then they are cut off."""
_GRANIAN_LOGS: Final = Path(__file__).resolve().parent / "logs" / "granian.json"
"""Granian's logging configuration: JSON lines like the service's, even before its processes have read the settings."""
_OPTIONS: Final = (
    *("--interface", "asgi", "--http", "1", "--no-ws", "--http1-header-read-timeout", "5000"),
    *("--http1-buffer-size", "65536"),
    "--respawn-failed-workers",
)


def hold_port(host: str, port: int) -> socket.socket:
    """Bind the port, and exit with ``PORT_TAKEN`` and a sentence where another process has it.

    granian sets SO_REUSEPORT, by which the kernel would let two servers share a port and split the connections between
    them. While the socket that is returned is open, no other server can start there, and granian in this process can.
    """
    try:
        held = _bound(host, port)
    except OSError as error:
        sys.stderr.write(f"{_refusal(host, port, error)}\n")
        sys.exit(PORT_TAKEN)
    if sys.platform == "linux":
        # From here on for granian alone: another process that asks as above shares with nobody.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    else:
        held.close()  # Other kernels let nobody share a port that was bound before it was said to be shared.
    return held


def _bound(host: str, port: int) -> socket.socket:
    """A socket that is bound there and doesn't listen. Raises OSError."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "no host name") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(target)
    except OSError:
        bound.close()
        raise
    return bound


def _refusal(host: str, port: int, error: OSError) -> str:
    """Why a port can't be bound, with what to do: another port that is free now, or another ``HOST``."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken: choose another one, such as PORT={_free_port(host, port)}."
    if error.errno == errno.EACCES:
        return (
            f"Port {port} of {host} is for administrators: choose one from {_FIRST_OPEN_PORT} on, such as"
            f" PORT={_free_port(host, _USUAL_PORT)}."
        )
    return f"HOST: {host!r} is not an address of this machine ({error.strerror}). Leave it out for 127.0.0.1."


def _free_port(host: str, wanted: int) -> int:
    """The first port from ``wanted`` on that is free now, or from 8000 on; ``wanted`` if none of a hundred is."""
    for first in (max(wanted, _FIRST_OPEN_PORT), _USUAL_PORT):
        for tried in range(first, min(first + 50, _LAST_PORT + 1)):
            with contextlib.suppress(OSError), _bound(host, tried):
                return tried
    return wanted


def address_of(host: str, port: int) -> str:
    """The address to ask a server that listens there, from this machine."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - the server's, not ours
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def is_ready(address: str) -> bool:
    """Whether a server there answers that it can serve (``GET /health/ready``)."""
    try:
        # A proxy that the environment names is not used for this machine's own addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}/health/ready", timeout=READY_TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def _parser() -> argparse.ArgumentParser:
    from config.variables import programs  # noqa: PLC0415 - the demonstration sets defaults before they are read

    parser = argparse.ArgumentParser(
        prog="python -m config.serve",
        description="Run the web server. Arguments that are not listed here are granian's.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default=programs.HOST, help="the address to listen on")
    parser.add_argument("--port", type=port, default=programs.PORT, help="the port to listen on")
    parser.add_argument(
        "--backpressure",
        type=partial(whole_number, least=1, most=1_000_000),
        default=programs.GRANIAN_BACKPRESSURE,
        help="how many connections a process accepts at a time (512 fewer than the files it may open; 128 to 4096)",
    )
    parser.add_argument("--application", default="config.asgi:application", help="what is served")
    parser.add_argument(
        "--is-ready", action="store_true", help="run nothing; exit with 0 if the server there is ready, else 1"
    )
    return parser


def _stop_seconds() -> int:
    """How long a web process may take to stop, before it is killed."""
    from config.variables import programs  # noqa: PLC0415 - as above

    grace = programs.SHUTDOWN_GRACE_SECONDS
    return ceil(grace + SETTLE_SECONDS if grace else 0) + COMPLETION_SECONDS


def main() -> None:
    """Become the web server, or ask the one that runs."""
    # Before variables are read: the processes that granian forks inherit the values that this one has read.
    os.environ.setdefault("DATABASE_POOL_SIZE", str(startup.WEB_POOL_SIZE))
    arguments, more = _parser().parse_known_args()
    if arguments.is_ready:
        sys.exit(0 if is_ready(address_of(arguments.host, arguments.port)) else 1)
    startup.exit_on_faults()
    held = hold_port(arguments.host, arguments.port)
    startup.begin()
    startup.refuse_local_beyond_loopback(arguments.host)
    from config.connections import make_room  # noqa: PLC0415 - a health check doesn't need it
    from config.variables import servers  # noqa: PLC0415 - as in the parser

    room = make_room()
    # The processes that granian starts read it, too.
    os.environ["GRANIAN_BACKPRESSURE"] = str(arguments.backpressure or room)
    patience = ("--workers-kill-timeout", str(_stop_seconds()))
    if not servers.IS_LOCAL:
        more = ["--log-config", os.fspath(_GRANIAN_LOGS), *more]
    where = ("--host", arguments.host, "--port", str(arguments.port))
    sys.argv = ["granian", *_OPTIONS, *patience, *where, *more, arguments.application]
    orphans.end_forks_with_this_process()
    with held:
        run_module("granian", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
