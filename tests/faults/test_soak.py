"""Relays, a consumer, the web server and PostgreSQL die under load: replicas equal the tables after each."""

import json
import subprocess
import sys
from typing import Final

from tests.faults.house import REPOSITORY

SEED: Final = "7"
FAULTS: Final = 6
"""A deck of faults: each kind at least once."""


def test_after_each_fault_replicas_equal_the_tables_and_each_effect_happened_once() -> None:
    options = ["--faults", str(FAULTS), "--load", "0.3", "--seed", SEED]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kinds"] == {"relays": 2, "consumer": 2, "web": 1, "postgres": 1}
    assert found["killed"] == 2 * 2 + 2 + 1 + 1
    assert min(found[what] for what in ("carts", "orders", "adjustments", "transfers")) > 0, found
