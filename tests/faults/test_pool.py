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


def run_with_pool(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, whose threads share two connections to the database of this test."""
    database = connection.settings_dict
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": f"postgres://{database['USER']}@/{database['HOST']}/{database['NAME']}",
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


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("store")
def test_a_leader_gets_the_connection_of_a_waiting_request() -> None:
    ran = run_with_pool(SCRIPT, str(make_level(100).pk))
    printed = json.loads(ran.stdout)
    assert printed == {"alive": 0, "outcomes": ["PlacedHold"] * 3}, ran.stderr
    assert "batch_falls_apart" not in ran.stderr


AFTER_EACH_OTHER = """
import asyncio, json, os, sys
import django
django.setup()
from django.db import connection
from inventory.combining import Reading
from inventory.models import StockLevel
from inventory.services.stock.reading import ProductLevelsRequest, read_product_levels
from reservations import group_commit
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.reading import CartRequest, read_carts
from reservations.services.holds.resolution import ReleaseRequest
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR, hold_request

level = StockLevel.objects.get(pk=sys.argv[1])
connection.close()
wanted, cart = hold_request((level, 1), cart_id="cart"), Selector(cart_id="cart")
submissions = [
    group_commit.place_hold(wanted),
    group_commit.extend_hold(ExtendRequest(ACTOR, cart, 5)),
    group_commit.put_basket(wanted),
    Reading(read_product_levels, ProductLevelsRequest(ACTOR, level.product_id)),
    Reading(read_carts, CartRequest(ACTOR, "cart")),
    group_commit.release_hold(ReleaseRequest(ACTOR, cart, "")),
    group_commit.empty_basket(ReleaseRequest(ACTOR, cart, "")),
]

async def ask_each():
    return [type(await submission.outcome_on_loop()).__name__ for submission in submissions]

print(json.dumps(asyncio.run(ask_each())), flush=True)
os._exit(0)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("store")
def test_the_idle_leaders_of_all_services_keep_no_connection() -> None:
    ran = run_with_pool(AFTER_EACH_OTHER, str(make_level(100).pk))
    names = ["PlacedHold", "Extended", "PlacedHold", "ProductLevels", "CartRead", "Resolved", "Resolved"]
    assert json.loads(ran.stdout) == names, ran.stderr
    assert "batch_falls_apart" not in ran.stderr
