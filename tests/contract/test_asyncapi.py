"""The AsyncAPI document is valid, and has what is really sent."""

import hashlib
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from django.conf import settings

from audit.events import registered_types
from audit.feed import LoggedEvent
from audit.feed.cursors import Cursor
from audit.streams.cloudevents import attributes
from audit.webhooks.bodies import TEST_EVENT
from config.documents.asyncapi import DOCUMENT
from reservations.services.orders.incoming import incoming_types

TOOL = Path(__file__).with_name("asyncapi")
CHANNELS = ["feed", "inbox", "inboxKafka", "inboxRedis", "kafka", "redis", "stream", "webhooks"]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is in the repository."""
    content: dict[str, Any] = json.loads((settings.BASE_DIR / DOCUMENT).read_text(encoding="utf-8"))
    return content


def without(what: str) -> NoReturn:
    """Skip the test; fail it in CI."""
    give_up = pytest.fail if "CI_RUN" in os.environ else pytest.skip
    give_up(f"{what}: {DOCUMENT} is not validated")


@pytest.fixture(scope="module")
def parser() -> Path:
    """The folder of the parser with its packages, installed below ``var`` as its lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        without("Node and npm are not installed")
    locked = hashlib.sha256((TOOL / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder: Path = settings.BASE_DIR / "var" / f"asyncapi-{locked}"
    if not folder.exists():
        made = folder.with_name(f"{folder.name}-{uuid4()}")
        shutil.copytree(TOOL, made)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            shutil.rmtree(made)
            without(f"npm could not install the parser ({done.stderr.strip()[:500]})")
        made.rename(folder)
    shutil.copy(TOOL / "validate.mjs", folder)
    return folder


def test_the_document_is_valid(parser: Path) -> None:
    command = ["node", "validate.mjs", os.fspath(settings.BASE_DIR / DOCUMENT)]
    done = subprocess.run(command, cwd=parser, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *wrong, last = done.stdout.splitlines()
    assert wrong == []
    found = json.loads(last)
    assert found["channels"] == CHANNELS
    assert {"cursor", "reservationId", "previousVersion"} <= set(found["properties"])  # References were followed.


def test_a_document_with_an_error_is_refused(parser: Path, tmp_path: Path, document: dict[str, Any]) -> None:
    document = json.loads(json.dumps(document))
    document["operations"]["sendByFeed"]["channel"]["$ref"] = "#/channels/none"
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    command = ["node", "validate.mjs", os.fspath(path)]
    done = subprocess.run(command, cwd=parser, capture_output=True, text=True, timeout=120, check=False)
    assert "operations.sendByFeed" in done.stdout


def test_every_event_has_a_message_at_every_channel(document: dict[str, Any]) -> None:
    channels = document["channels"]
    assert sorted(channels) == CHANNELS
    for name in ("stream", "redis", "kafka"):
        assert channels[name]["messages"].keys() == registered_types(), name
    assert channels["webhooks"]["messages"].keys() == registered_types() | {TEST_EVENT}
    for name in ("inbox", "inboxRedis", "inboxKafka"):
        assert channels[name]["messages"].keys() == incoming_types().keys(), name
    assert {operation["action"] for operation in document["operations"].values()} == {"send", "receive"}


def test_headers_are_those_that_are_sent(document: dict[str, Any]) -> None:
    event = LoggedEvent(
        Cursor(1, 2, 3),
        uuid4(),
        "level",
        "key",
        "InventoryReservedEvent",
        "{}",
        datetime.now(UTC),
        7,
        f"00-{1:032x}-{1:016x}-01",
    )
    sent = attributes(event).keys()
    traits = document["components"]["messageTraits"]
    assert traits["redis"]["headers"]["properties"].keys() == sent | {"datacontenttype"}
    assert traits["kafka"]["headers"]["properties"].keys() == {f"ce_{name}" for name in sent} | {
        "content-type",
        "traceparent",
    }
