"""Fewer connections than threads: nobody waits for one that somebody keeps for nothing."""

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
import json, os, sys, threading
import django
django.setup()
from django.db import connection
from audit.models import ApiToken
from inventory.models import StockLevel
from reservations import combining
from tests.factories import hold_request

level = StockLevel.objects.get(pk=sys.argv[1])
connection.close()
barrier = threading.Barrier(12)
outcomes = []

def ask():
    for _ in range(5):
        list(ApiToken.objects.all())  # As a thread does that looks its caller's token up: it has a connection now.
        outcomes.append(type(combining.place_hold(hold_request((level, 1)))).__name__)
        connection.close()

def begin():
    barrier.wait(20)
    ask()

threads = [threading.Thread(target=begin, daemon=True) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
print(json.dumps({"alive": sum(thread.is_alive() for thread in threads), "outcomes": outcomes}), flush=True)
os._exit(0)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("store")
def test_12_threads_share_2_connections() -> None:
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
            "LOCK_TIMEOUT": "5",
            "DEBUG": "true",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told = json.loads(ran.stdout)
    assert told == {"alive": 0, "outcomes": ["Held"] * 60}, ran.stderr
