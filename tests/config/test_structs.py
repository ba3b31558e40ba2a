"""Threads that decode the same type for the first time at once."""

import subprocess
import sys
from typing import Final

import pytest

from audit.console.scans import Outcome
from config import structs
from config.settings import BASE_DIR
from reservations.api.holds.contract import ReserveIn

_RACE: Final = """
import sys, threading
from dataclasses import make_dataclass
import msgspec
from config import structs
def nested(make, number):
    inner = make(f"Inner{number}", [(f"f{field}", int | None, None) for field in range(10)])
    return make(f"Outer{number}", [(f"g{field}", inner | None, None) for field in range(5)])
kinds = [nested(make, number) for number in range(200) for make in (msgspec.defstruct, make_dataclass)]
if sys.argv[1] == "built":
    structs.build(kinds)
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
def decode():
    for kind in kinds:
        together.wait()
        msgspec.json.decode(b'{"g4": {"f9": 3}}', type=kind)
threads = [threading.Thread(target=decode) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("how", ["built", "not built"])
def test_types_that_were_built_at_start_are_decoded_by_many_threads_at_once(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RACE, how], cwd=BASE_DIR, capture_output=True, text=True, timeout=60, check=False
    )
    if how == "built":
        assert (done.returncode, done.stderr) == (0, "")
    else:  # The control: msgspec may be mended one day, and then this module can go.
        assert done.returncode != 0


def test_bodies_and_rows_of_this_project_are_built() -> None:
    found = structs.kinds()
    assert {ReserveIn, Outcome} <= found
    structs.build(found)
