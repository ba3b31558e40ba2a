"""The commands of deploy/kubernetes run with what a pod gives them: a plain user, no rights, files to read alone."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings
from django.db import connection

from audit import heartbeats
from tests.config.test_serve import command_of, image_environment
from tests.deploy.rendering import containers, is_ours, settings_of, workloads
from tests.faults import house
from tests.faults.test_proxies import free_port

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS: Final = 240.0
USER: Final = "10001"
LOOK: Final = "id -u; touch /tmp/x && touch /srv/app/x /x; grep -E 'Cap(Eff|Bnd)' /proc/1/status"
"""Prints the user, what can't be written, and the capabilities."""
SCRIPT: Final = Path(__file__).with_name("container.sh")


def command_in(name: str, container: str = "inventory") -> list[str]:
    """A container's command in the overlay ha: the image's own if it has none."""
    (found,) = [
        each
        for manifest, each in containers("ha")
        if is_ours(each) and (manifest["metadata"]["name"], each["name"]) == (name, container)
    ]
    command: list[str] = found.get("command") or command_of("CMD")
    return command


def liveness_of(name: str) -> list[str]:
    """The command of a container's liveness probe."""
    (template,) = [made for manifest, made in workloads("ha") if manifest["metadata"]["name"] == name]
    command: list[str] = template["spec"]["containers"][0]["livenessProbe"]["exec"]["command"]
    return command


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What .dockerignore lets into the image."""
    folder = tmp_path_factory.mktemp("image")
    for line in Path(settings.BASE_DIR, ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            path = Path(settings.BASE_DIR, line[1:])
            target = folder / line[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, target)
    folder.chmod(0o755)
    return folder


class Pods:
    """Processes that run as in pods, and the environment that they have."""

    def __init__(self, image: Path, folder: Path) -> None:
        if os.getuid() or not all(shutil.which(tool) for tool in ("unshare", "setpriv")):
            without = pytest.fail if "CI_RUN" in os.environ else pytest.skip
            without("Only root may make containers, with unshare and setpriv: no command was run as in a pod")
        self._image, self._folder = image, folder
        self.port = free_port()
        self.metrics_ports: dict[int, int] = {}
        """Of each process, by its id: in a cluster all have the same, as each pod has an address of its own."""
        database = connection.settings_dict
        self._sockets = database["HOST"]
        Path(self._sockets, "redis").chmod(0o777)  # Its folder stays open to the servers' account alone.
        self._environment = {
            **image_environment(),
            **settings_of("ha"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SECRET_KEY": "0123456789-" * 6,
            "ALLOWED_HOSTS": "stock.example",
            "EMAIL_HOST": "localhost",
            "DEFAULT_FROM_EMAIL": "inventory@stock.example",
            "DATABASE_URL": f"postgres://{database['USER']}@//run/servers/{database['NAME']}",
            "REDIS_URL": "unix:///run/servers/redis",
            "STATIC_ROOT": os.fspath(settings.STATIC_ROOT),
            "SWEEP_INTERVAL_SECONDS": "1",
            "METRICS_HOST": "127.0.0.1",
            "SHUTDOWN_GRACE_SECONDS": "1",
        }

    def start(self, command: list[str], *, archives: bool = False) -> subprocess.Popen[str]:
        """Start a command as PID 1 of a container. ``archives``: with the volume of archived rows."""
        root = self._folder / f"root-{len(self.metrics_ports)}"
        root.mkdir()
        archive = root.with_name(f"{root.name}-archive")
        archive.mkdir()
        if archives:
            os.chown(archive, int(USER), int(USER))  # As fsGroup does.
        program = [sys.executable, "-m", "celery"] if command[0] == "celery" else [command[0]]
        folders = {os.fspath(settings.STATIC_ROOT), sys.prefix, sys.base_prefix} - {"/usr"}
        isolated = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh"]
        where = [os.fspath(each) for each in (SCRIPT, root, self._image, USER, self._sockets)]
        port = free_port()
        process = subprocess.Popen(
            [*isolated, *where, *sorted(folders), "--", *program, *command[1:]],
            env={**self._environment, "METRICS_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.metrics_ports[process.pid] = port
        return process


def printed_by(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """The status with which a process ends by itself, and what it printed."""
    printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, printed


def stop(processes: "Iterable[subprocess.Popen[str]]") -> None:
    """Send SIGTERM to PID 1 of each container, as the kubelet does."""
    for process in processes:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for child in children.read_text().split() if process.poll() is None else ():
            os.kill(int(child), signal.SIGTERM)


@pytest.fixture
def pods(image: Path, tmp_path: Path) -> Pods:
    return Pods(image, tmp_path)


def get(port: int, path: str) -> str:
    """A page of a pod, which is asked for by the pod's address instead of a served host; empty if there is none."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": "10.1.2.3"})
    with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())
    return ""


def eventually(happened: Callable[[], bool], what: str) -> None:
    """Poll until it has happened."""
    house.eventually(happened, what, seconds=PATIENCE_SECONDS)


def test_every_pod_starts_works_and_ends_when_told(pods: Pods) -> None:
    rights = pods.start(
        ["sh", "-c", "id -u; touch /tmp/x && touch /srv/app/x /x; grep -E 'Cap(Eff|Bnd)' /proc/1/status"]
    )
    once = {"migrate": pods.start(command_in("migrate"))}
    once["before worker"] = pods.start(command_in("worker", "wait-for-migrations"))
    lasting = {
        name: pods.start(command_in(name), archives=name == "worker")
        for name in ("web", "worker", "sweeper", "beat", "relay")
    }
    try:
        code, printed = printed_by(rights)
        assert code == 0, printed
        assert printed.splitlines()[0] == USER
        assert printed.count("Read-only file system") == 2
        assert re.findall(r"Cap\w+:\s+(\w+)", printed) == ["0" * 16] * 2
        ends = {name: printed_by(process) for name, process in once.items()}
        assert {name: code for name, (code, _) in ends.items()} == dict.fromkeys(once, 0), ends
        eventually(lambda: '"ok"' in get(pods.port, "/health/ready"), "readiness")
        expected = {heartbeats.BEAT, heartbeats.SWEEPER, heartbeats.RELAY}
        eventually(lambda: expected <= heartbeats.read().keys(), "heartbeats")
        for name, process in lasting.items():
            port = pods.metrics_ports[process.pid]
            eventually(lambda port=port: "inventory_database_up 1.0" in get(port, "/metrics"), f"metrics of {name}")  # type: ignore[misc]
        for name in ("worker", "sweeper"):  # Asked again, as the kubelet does: a worker answers when it has joined.
            eventually(lambda name=name: printed_by(pods.start(liveness_of(name))) == (0, ""), f"liveness of {name}")  # type: ignore[misc]
        assert {name: process.poll() for name, process in lasting.items()} == dict.fromkeys(lasting)
    finally:
        stop(lasting.values())
        ended = {name: printed_by(process) for name, process in lasting.items()}
    assert {name: code for name, (code, _) in ended.items()} == dict.fromkeys(lasting, 0), ended
