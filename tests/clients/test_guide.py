"""The clients of docs/guides/clients.md are generated, compile strictly, and sell over a network that loses answers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from audit.authentication import issue_token
from audit.roles import Role
from reservations.models import Reservation
from tests.clients.service import LossyNetwork, serving
from tests.factories import counters, make_client, make_product, make_store, receive
from tests.node import HERE, installed

REPOSITORY: Final = HERE.parents[1]
GUIDE: Final = REPOSITORY / "docs" / "guides" / "clients.md"
PROGRAMS: Final = GUIDE.with_suffix("")
TENT: Final = UUID("d4c3be38-2bb1-53da-ab83-5417b452563e")
BLOCKS: Final = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
STORY: Final = """\
Available: {left}
Refused: insufficient_stock, 10000 requested, {left} available
Held: RESERVED, 900 seconds left
Extended: EXTENDED
Sold: CONSUMED
"""
# The packages are those of the lock files; test_what_the_guide_installs compares their names.
PRELUDE: Final = 'set -e; npm() { :; }; pip() { :; }; npx() { "$@"; }\n'
IMPORT_ALL: Final = """
import importlib, pkgutil, inventory_client
for module in pkgutil.walk_packages(inventory_client.__path__, "inventory_client."):
    importlib.import_module(module.name)
"""
SEND_EVENT: Final = """
import os
from inventory_client import AuthenticatedClient
from inventory_client.api.events import receive_events
from inventory_client.models import IncomingEvent
client = AuthenticatedClient(os.environ["ADDRESS"], os.environ["TOKEN"])
event = {"type": "OrderCancelledEvent", "eventId": "1", "data": {"orderId": "order-1"}}
print(receive_events.sync(client=client, body=[IncomingEvent.from_dict(event)]).outcomes[0].outcome)
"""
FLAGS: Final = {"openapi-python-client generate": "--fail-on-warning"}


def follow(commands: str, folder: Path, *programs: Path, **environment: str) -> str:
    """Run commands of the guide in a folder, with the programs of these folders. Returns what they print."""
    path = os.pathsep.join([*map(os.fspath, programs), os.fspath(Path(sys.prefix, "bin")), os.environ["PATH"]])
    for command, flag in FLAGS.items():
        commands = commands.replace(command, f"{command} {flag}")
    done = subprocess.run(
        ["bash", "-c", PRELUDE + commands],
        cwd=folder,
        env={"PATH": path, "HOME": os.environ.get("HOME", "/"), "NO_COLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def sells(commands: str, folder: Path, logs: Path, *programs: Path, stories: int) -> str:
    """Run commands of the guide against a service with eight tents, whose network loses answers.

    They must print the story this many times, and have sold one tent each time. Returns what they print.
    """
    make_store("main", "wh-001")
    level = receive(make_product(id=TENT), 8)
    token = issue_token(make_client(Role.CHECKOUT))
    with serving(logs, token) as service, LossyNetwork(service.port) as network:
        printed = follow(commands, folder, *programs, ADDRESS=network.url, TOKEN=token)
    assert "".join(STORY.format(left=8 - sold) for sold in range(stories)) in printed, printed
    assert counters(level) == (8 - stories, 0)
    assert list(Reservation.objects.values_list("status", flat=True)) == ["CONSUMED"] * stories
    # Refused, held, extended and sold, each with a lost answer, a refusal for being busy, and an answer.
    assert sorted(network.attempts.values()) == [3] * 4 * stories
    return printed


def test_what_the_guide_installs() -> None:
    package = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    locked = package["dependencies"]
    assert json.loads((PROGRAMS / "package.json").read_text(encoding="utf-8"))["type"] == package["type"]
    tested = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    text = GUIDE.read_text(encoding="utf-8")
    lines = [line.split() for block in BLOCKS for line in block.splitlines()]
    names = [name for line in lines if line[0] == "npm" for name in line[2:] if name != "--save-dev"]
    assert {*names} <= locked.keys()
    assert len(names) == 7
    for name in {*names} - {"@types/node"}:
        assert f"`{name}` {locked[name].rpartition('.')[0]}" in text
    assert [line[2:] for line in lines if line[0] == "pip"] == [["openapi-python-client", "httpx", "attrs"]]
    assert all(f"\n{name}==" in tested for name in ("openapi-python-client", "httpx", "attrs"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_node")
def test_the_typescript_clients_compile_and_sell(tmp_path: Path) -> None:
    folder = installed()
    for path in PROGRAMS.iterdir():
        if path.suffix == ".ts" or path.name == "tsconfig.json":
            shutil.copy(path, folder)
    commands = "".join(block for block in BLOCKS if "npx" in block)
    sells(commands, folder, tmp_path, folder / "node_modules" / ".bin", stories=2)


@pytest.mark.django_db(transaction=True)
def test_the_python_client_has_strict_types_and_sells(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    for path in PROGRAMS.glob("*.py"):
        shutil.copy(path, project)
    (commands,) = (block for block in BLOCKS if "pip install" in block)
    # The inbox, too: the generator writes no function that works for an operation that documents several media types.
    printed = sells(f"{commands}python -c '{SEND_EVENT}'", project, tmp_path, stories=1)
    assert printed.endswith("remembered\n"), printed
    # Every module, also those that the program doesn't use: the generator's mistakes show when they are imported.
    follow(f"python -W error -c '{IMPORT_ALL}'", project)
    # Of the package only the types count: what the generator's own code lacks is its own matter.
    cache = REPOSITORY / ".mypy_cache" / "clients"
    follow(f"mypy --strict --config-file= --cache-dir='{cache}' --follow-imports silent with_python.py", project)
