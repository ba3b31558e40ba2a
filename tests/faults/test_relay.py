"""Relays are killed, PostgreSQL crashes, Redis comes back empty: every event is published, those of a key in order."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.faults.house import REPOSITORY, House, eventually

READER: Final = REPOSITORY / "docs" / "guides" / "streams" / "reader.py"


def test_of_four_relays_that_are_killed_a_hundred_times_nothing_is_lost_or_out_of_order(house: House) -> None:
    found = json.loads(house.python("-m", "tests.faults.relay_driver", "4", "100", "2", seconds=240))
    assert found["events"] > 200
    # Each kill, and each relay that a crash of PostgreSQL met, repeats a batch at most.
    assert found["seams"] <= 100 + 2 * 4


def test_a_redis_that_comes_back_empty_gets_what_follows_and_its_reader_goes_on(house: House, tmp_path: Path) -> None:
    house.python("manage.py", "relay_events", "--once")
    output = tmp_path / "output"
    with output.open("wb") as file:
        reader = subprocess.Popen(
            [sys.executable, READER],
            env={"PATH": os.defpath, "EVENT_STREAM_URL": house.urls["REDIS_URL"]},
            stdout=file,
        )
    try:
        house.write_event("before")
        house.python("manage.py", "relay_events", "--once")
        eventually(lambda: "before" in output.read_text() or reader.poll() is not None, "the reader to print")
        assert reader.poll() is None
        killed = house.status()["redis_pid"]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: house.status()["redis_pid"] != killed, "Redis to be there again")
        house.write_event("after")
        house.python("manage.py", "relay_events", "--once")
        eventually(lambda: "after" in output.read_text(), "the reader to print an event of the new Redis")
        assert reader.poll() is None
    finally:
        reader.kill()
        reader.wait()
    assert "up to date" in house.python("manage.py", "relay_events", "--status")
