"""The receivers of the guide take what is genuine, once, and refuse everything else."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from audit.webhooks import managing
from audit.webhooks.keys import Signer, load, new_keys, public_keys
from tests.audit.webhooks.receiver import wait_until
from tests.audit.webhooks.sender import publish, sending, states_of, subscribed
from tests.factories import ACTOR

pytestmark = pytest.mark.django_db(transaction=True)
FOLDER = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "guides" / "webhooks"


def command(language: str) -> list[str]:
    if language == "python":
        return [sys.executable, str(FOLDER / "receiver.py")]
    node = shutil.which("node")
    if node is None:
        assert "CI_RUN" not in os.environ, "Node is needed for the receiver of the guide"
        pytest.skip("no Node here: the receiver in JavaScript is not tried")
    return [node, str(FOLDER / "receiver.mjs")]


@contextmanager
def receiver(language: str, **environment: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    env = {"PATH": os.environ["PATH"], "PORT": "0", **environment}
    process = subprocess.Popen(command(language), env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield int(process.stdout.readline().rpartition(" ")[2]), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def post(port: int, headers: dict[str, str], body: bytes) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def sent_to(port: int, at: datetime, signed: bytes, body: bytes, signer: Signer) -> int:
    """Send a body with the signatures of the body ``signed``, and return the status of the answer."""
    headers = {
        "webhook-id": "ev-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signer.signatures("ev-1", at, signed),
    }
    return post(port, headers, body)


@pytest.mark.parametrize("language", ["python", "node", "node with a public key"])
def test_the_receivers_of_the_guide(language: str) -> None:
    made = subscribed("http://127.0.0.1:1/")
    assert made.secret
    keys = load(made.webhook.keys)
    with_key = language.endswith("key")
    environment = (
        {"WEBHOOK_PUBLIC_KEY": " ".join(public_keys(made.webhook.keys))}
        if with_key
        else {"WEBHOOK_SECRET": f"{made.secret} {new_keys(made.webhook.pk)[1]}"}
    )
    with receiver(language.partition(" ")[0], **environment) as (port, process):
        managing.change(ACTOR, made.webhook.pk, {"url": f"http://127.0.0.1:{port}/"})
        with sending():
            publish("res-1", "res-2")
            wait_until(lambda: not states_of(made.webhook) and made.webhook.deliveries.count() == 0)
            assert process.stdout
            lines = sorted(process.stdout.readline().strip() for _ in range(2))
        assert lines == ["InventoryReservedEvent res-1", "InventoryReservedEvent res-2"]
        now, body = datetime.now(UTC), b'{"type":"T","key":"again"}'

        sent = partial(sent_to, port)
        genuine, forged = Signer(made.webhook.pk, keys), Signer(made.webhook.pk, new_keys(made.webhook.pk)[0])
        assert sent(now, body, body, genuine) == 204
        assert sent(now, body, body, genuine) == 204  # Once more: acknowledged, and not printed.
        assert sent(now, body, body + b" ", genuine) == 401
        assert sent(now, body, body, forged) == 401
        assert sent(now - timedelta(minutes=6), body, body, genuine) == 401
        assert post(port, {}, body) == 401
        assert (
            post(port, {"webhook-id": "x", "webhook-timestamp": "soon", "webhook-signature": "v1,v1a v1a"}, b"") == 401
        )
        large = b'"' + b"x" * 30_000 + b'"'
        assert sent(now, large, large, genuine) == 401
        process.kill()
        rest = process.stdout.read()
    assert rest.splitlines() == ["T again"]
