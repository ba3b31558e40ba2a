"""Node and the packages that tests/node/package-lock.json pins, for tests and for `make check`."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

HERE: Final = Path(__file__).resolve().parent
VAR: Final = HERE.parents[1] / "var"
OLDEST_NODE: Final = (20, 19)
_FILES: Final = ("package.json", "package-lock.json", ".npmrc")


class Missing(Exception):
    """Node or its packages can't be had; the text says why."""


def installed() -> Path:
    """Install the packages below ``var`` once for each state of the lock file. Returns the folder.

    Raises Missing without Node, with a Node that is too old, or if npm fails.
    """
    _require_node()
    locked = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in _FILES)).hexdigest()[:16]
    folder = VAR / f"node-{locked}"
    with _alone():
        if not folder.exists():
            for old in VAR.glob("node-*/"):
                shutil.rmtree(old)
            _install(folder)
    return folder


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of the packages, or ``node`` itself. Returns what it printed, standard error included."""
    folder = installed()
    path = f"{folder / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}
    return subprocess.run(
        [os.fspath(word) for word in command],
        cwd=cwd or folder,
        env={**os.environ, "PATH": path, **quiet, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def _require_node() -> None:
    needed = "Node {}.{} or later, with npm".format(*OLDEST_NODE)
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing(f"{needed}, is not installed")
    printed = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)\.", printed)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_NODE:
        raise Missing(f"{needed}, is needed, and `node --version` is {printed.strip() or 'silent'}")


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time install."""
    VAR.mkdir(exist_ok=True)
    with (VAR / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(folder: Path) -> None:
    made = folder.with_name(f"installing-{uuid4()}")
    made.mkdir()
    for name in _FILES:
        shutil.copy(HERE / name, made)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise Missing(f"npm could not install the packages ({done.stderr.strip()[:500]})")
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
