"""The AsyncAPI document is valid, and has what is really sent."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
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
from tests.node import HERE, installed, run

CHANNELS = ["feed", "inbox", "inboxKafka", "inboxRedis", "kafka", "redis", "stream", "webhooks"]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is in the repository."""
    content: dict[str, Any] = json.loads((settings.BASE_DIR / DOCUMENT).read_text(encoding="utf-8"))
    return content


def parsed(document: Path) -> "subprocess.CompletedProcess[str]":
    """Run the parser of AsyncAPI."""
    shutil.copy(HERE / "asyncapi.mjs", installed())
    return run("node", "asyncapi.mjs", document)


@pytest.mark.usefixtures("_node")
def test_the_document_is_valid() -> None:
    done = parsed(settings.BASE_DIR / DOCUMENT)
    assert done.returncode == 0, done.stdout
    *wrong, last = done.stdout.splitlines()
    assert wrong == []
    found = json.loads(last)
    assert found["channels"] == CHANNELS
    assert {"cursor", "reservationId", "previousVersion"} <= set(found["properties"])  # References were followed.


@pytest.mark.usefixtures("_node")
def test_a_document_with_an_error_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    document = json.loads(json.dumps(document))
    document["operations"]["sendByFeed"]["channel"]["$ref"] = "#/channels/none"
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert "operations.sendByFeed" in parsed(path).stdout


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
