"""Fewer connections than threads: no thread keeps a connection that it doesn't need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.factories import make_level

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import json, os, sys, threading, time
import django
django.setup()
from django.db import connection
from inventory.models import StockLevel
from inventory import combining
from reservations import group_commit
from reservations.services.holds import placing
from tests.factories import hold_request

level = StockLevel.objects.get(pk=sys.argv[1])
connection.close()
outcomes = []
connected = threading.Barrier(3)
led = threading.Event()

def ask():
    outcomes.append(type(group_commit.place_hold(hold_request((level, 1))).outcome()).__name__)
    connection.close()

def ask_with_a_connection():  # As a thread has one that has just looked its caller's token up.
    connection.ensure_connection()
    connected.wait(20)
    led.wait(20)
    ask()

others = [threading.Thread(target=ask_with_a_connection, daemon=True) for _ in range(2)]
for thread in others:
    thread.start()
connected.wait(20)
leader = threading.Thread(target=ask, daemon=True)
leader.start()
while combining._shared(placing.place_holds, None)._free_leaders:
    time.sleep(0.01)
led.set()
for thread in (leader, *others):
    thread.join(30)
print(json.dumps({"alive": sum(thread.is_alive() for thread in (leader, *others)), "outcomes": outcomes}), flush=True)
os._exit(0)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("store")
def test_a_leader_gets_the_connection_of_a_waiting_request() -> None:
    level = make_level(100)
    database = connection.settings_dict
    url = f"postgres://{database['USER']}@/{database['HOST']}/{database['NAME']}"
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(level.pk)],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DATABASE_POOL_SIZE": "2",
            "LOCK_TIMEOUT": "2",
            "LOG_LEVEL": "INFO",
            "DEBUG": "true",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    printed = json.loads(ran.stdout)
    assert printed == {"alive": 0, "outcomes": ["PlacedHold"] * 3}, ran.stderr
    assert "batch_falls_apart" not in ran.stderr
