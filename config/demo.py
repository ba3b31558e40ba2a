"""`python -m config.demo [--env-file FILE]`: run the whole service on this machine with one command, until Ctrl-C.

Migrates the database, loads the demonstration catalogue once, then runs web, worker, sweeper, beat and relay under
honcho and prints their addresses. When one process ends, all are ended, and its exit code becomes this program's; after
Ctrl-C, which is the end that is wanted, it is 0.

No process is left behind: processes end with their parent (on Linux even if it is killed), and the embedded servers end
with the last process that is connected to them.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shlex
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from runpy import run_module
from types import FrameType

from honcho.manager import Manager

from config import demo_lock, embedded, orphans, serve, startup

PREPARE_FAILED = 1
READY_TIMEOUT_SECONDS = 60
METRICS_PORT = 9464
ENV_FILE = Path(__file__).resolve().parent.parent / "var" / "demo.env"
"""Always the same file: a second terminal knows neither PORT nor DATA_DIR of the first."""


class Processes(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's Manager, extended: it announces when the address is ready, can be stopped at any moment, and ends with
    the exit code 0 after Ctrl-C.
    """

    returncode: int | None

    def __init__(self, addresses: "Addresses", data_dir: Path, env_file: Path) -> None:
        super().__init__()
        self._where = (addresses, data_dir, env_file)

    def _start(self) -> None:
        signal.signal(signal.SIGINT, self._interrupt)  # In place of honcho's, which has just been set.
        super()._start()
        # Started after the forks: a thread that exists before might hold a lock, which a fork would keep for ever.
        threading.Thread(target=announce, args=self._where, daemon=True).start()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """End all processes after Ctrl-C."""
        if self.returncode is None:
            self.returncode = 0
        # Not through sys.stdout, which may be at its own line just now.
        os.write(1, b"\nStopping...\n")
        self.terminate()

    def _system_print(self, data: str) -> None:
        """Print only that a process has ended by itself: anything else would push the addresses off the screen."""
        if not self._terminating and " stopped " in data:
            super()._system_print(data)

    def terminate(self) -> None:
        """Terminate all processes, once all have reported their pids: honcho has no other way to reach them."""
        if self._all_started():
            super().terminate()
        else:
            threading.Timer(0.1, self.terminate).start()


@dataclass(frozen=True)
class Addresses:
    """Where the demonstration is: the web server, the metrics, and the Redis of the stream of events."""

    web: str
    metrics: str
    stream: str


def announce(addresses: Addresses, data_dir: Path, env_file: Path) -> None:
    """Wait until the web server is ready, then write addresses and credentials to `env_file`, and print them."""
    address = addresses.web
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not serve.is_ready(address):
        if time.monotonic() > deadline:
            sys.stderr.write(
                f"{address} is still not ready after {READY_TIMEOUT_SECONDS} s; the lines above say why.\n"
            )
            return
        time.sleep(0.05)
    credentials = json.loads((data_dir / "demo.json").read_text())
    write_env_file(env_file, addresses, data_dir, credentials["tokens"])
    sys.stdout.write(banner(addresses, credentials, env_file))
    sys.stdout.flush()


def write_env_file(file: Path, addresses: Addresses, data_dir: Path, tokens: dict[str, str]) -> None:
    """Write shell variables for a second terminal. Only the owner can read the file: it contains tokens."""
    variables = {
        "ADDRESS": addresses.web,
        **{f"{role.upper()}_TOKEN": token for role, token in tokens.items()},
        "DEMO_DATA_DIR": os.fspath(data_dir),
        "EVENT_STREAM_URL": addresses.stream,
        "METRICS_ADDRESS": addresses.metrics,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    file.touch(mode=0o600)
    file.write_text("# Written by the demonstration that was started last.\n" + "".join(lines))


def banner(addresses: Addresses, credentials: dict[str, dict[str, str]], env_file: Path) -> str:
    """Return the text to print: addresses, login, tokens by role, and a command for a second terminal.

    `credentials`: `{"staff": {"username", "password"}, "tokens": {role: token}}`.
    """
    staff, tokens, address = credentials["staff"], credentials["tokens"], addresses.web
    here = Path.cwd()
    shown = env_file.relative_to(here) if env_file.is_relative_to(here) else env_file
    facts = {
        "Ready at": address,
        "Admin": f"{address}/admin/    {staff['username']} / {staff['password']}",
        "API docs": f"{address}/api/docs/",
        "Metrics": addresses.metrics,
        **{f"Token {role}": token for role, token in tokens.items()},
    }
    lines = [
        *(f"{name:18}{fact}" for name, fact in facts.items()),
        "",
        "In a second terminal, for the examples of README.md and docs/:",
        "",
        f"    source {shlex.quote(os.fspath(shown))}",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n" + "\n".join(lines) + "\n\n"


def prepare() -> None:
    """Migrate the database and load the demonstration data. Run in a process of its own, whose memory is then freed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    # Static files are served from where they are, but WhiteNoise warns if there is no folder of collected ones.
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    call_command("demo_data")


def commands(host: str, port: int, data_dir: Path, *, consumes: bool = False) -> dict[str, list[str]]:
    """Return the processes to run: a module and its arguments, by name. ``consumes``: also a consumer of events."""
    celery = ["celery", "--quiet", "-A", "config"]
    # One worker of each kind runs here: they need not find each other.
    alone = ["--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    web = ["config.serve", "--host", host, "--port", str(port)]
    # One process: concurrent requests share transactions, which is faster than a second process on few cores.
    web += ["--workers", "1", "--no-respawn-failed-workers", "--workers-kill-timeout", "3", "--log-level", "error"]
    schedule = os.fspath(data_dir / "celerybeat-schedule")
    return {
        "web": web,
        "worker": [*celery, "worker", *alone, "--queues", "celery", "--hostname", "worker@%h"],
        "sweeper": [
            *celery,
            "worker",
            *alone,
            "--queues",
            "sweep",
            "--hostname",
            "sweeper@%h",
        ],
        "beat": [*celery, "beat", "--schedule", schedule],
        "relay": ["manage", "relay_events"],
        **({"consumer": ["manage", "consume_events"]} if consumes else {}),
    }


def run(parent: int, module: str, arguments: list[str]) -> None:
    """Become a program that ends with `parent`, and whose own forks end with it (granian's workers)."""
    orphans.die_with_parent(signal.SIGTERM, parent)
    orphans.end_forks_with_this_process()
    # Celery would run the system checks, which load every route and view: 10 to 20 MB per process.
    os.environ["CELERY_SKIP_CHECKS"] = "true"
    if module != "config.serve":
        # What processes log of their start and of each task would scroll the addresses away.
        os.environ.setdefault("LOG_LEVEL", "WARNING")
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # `config.serve` was imported here: runpy would warn that it runs once more.
    run_module(module, run_name="__main__", alter_sys=True)


def free_port(wanted: int) -> int:
    """The wanted port of the loopback interface if it is free, or else another one."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as probe:
            return int(probe.getsockname()[1])
    raise OSError("no port is free")


def _hang_up(_number: int, _frame: FrameType | None) -> None:
    """End when the terminal is closed; honcho doesn't handle SIGHUP."""
    os.kill(os.getpid(), signal.SIGTERM)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.demo", description="Run the demonstration until Ctrl-C.")
    parser.add_argument("--env-file", type=Path, default=ENV_FILE, help="where to write address and tokens")
    return parser.parse_args()


def _set_defaults() -> None:
    """Set the variables that the demonstration needs, where the environment doesn't."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("DEMO", "true")
    os.environ.setdefault("DEBUG", "false")
    os.environ.setdefault("INBOX_CLIENT", "demo-checkout")
    os.environ.setdefault("SHUTDOWN_GRACE_SECONDS", "0")  # Whoever presses Ctrl-C doesn't wait for proxies.
    os.environ.setdefault("METRICS_PORT", str(free_port(METRICS_PORT)))


def exit_status(code: int) -> int:
    """The status to exit with after a process that ended with this code; as shells do where a signal killed it."""
    return 128 - code if code < 0 else code


def _prepare_in_a_fork() -> None:
    """Run ``prepare`` in a process of its own; exit if it fails."""
    orphans.end_forks_with_this_process()
    preparation = multiprocessing.get_context("fork").Process(target=prepare)
    preparation.start()
    preparation.join()
    if preparation.exitcode != 0:
        sys.exit(PREPARE_FAILED)


def main() -> None:
    """Run the demonstration until a signal, or until one of its processes ends; exit with 2 when the port is taken."""
    env_file = _arguments().env_file.resolve()
    # Until honcho takes over, Ctrl-C ends this process, and so its children, at once.
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(0))
    if "MAKELEVEL" in os.environ:
        # make passes signals on to its children, but can't when it is killed.
        orphans.die_with_parent(signal.SIGTERM, os.getppid())
    _set_defaults()
    from config.variables import programs, servers  # reads them, after the defaults are set

    startup.exit_on_faults()
    host, port = programs.HOST, programs.PORT
    startup.refuse_local_beyond_loopback(host)
    demo_lock.refuse_second(servers.DATA_DIR)
    # Before the servers are started; `config.serve` holds it later.
    serve.hold_port(host, port).close()
    demo_lock.hold(servers.DATA_DIR, serve.address_of(host, port))
    sys.stdout.write(f"Starting with the data in {servers.DATA_DIR}...\n")
    sys.stdout.flush()

    try:
        from config import settings
    except embedded.EmbeddedUnavailable as error:
        sys.exit(str(error))

    _prepare_in_a_fork()
    signal.signal(signal.SIGHUP, _hang_up)
    metrics = f"{serve.address_of(settings.METRICS_HOST, settings.METRICS_PORT or 0)}/metrics"
    addresses = Addresses(serve.address_of(host, port), metrics, settings.EVENT_STREAM_URL)
    processes = Processes(addresses, settings.DATA_DIR, env_file)
    consumes = bool(settings.INBOX_STREAM or settings.INBOX_TOPICS)
    for name, command in commands(host, port, settings.DATA_DIR, consumes=consumes).items():
        # The shell is replaced by the program, and passes on the pid of the process that must outlive it.
        trampoline = shlex.join([sys.executable, "-m", "config.demo", "run"])
        processes.add_process(name, f"exec {trampoline} $PPID {shlex.join(command)}", cwd=settings.BASE_DIR)
    processes.loop()
    sys.exit(exit_status(processes.returncode or 0))


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        main()
