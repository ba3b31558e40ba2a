"""Runs the soak test. Prints what it did as JSON."""

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from typing import Any

from tests.faults.house import House, eventually
from tests.faults.soak.service import Service, start_command


def run(house: House, service: Service, options: argparse.Namespace) -> dict[str, Any]:
    """Let faults befall the service, and check it after each. Returns the figures."""
    import django  # noqa: PLC0415 - it reads the settings of the house

    django.setup()
    from tests.faults.soak.callers import Callers  # noqa: PLC0415
    from tests.faults.soak.checks import Checks  # noqa: PLC0415
    from tests.faults.soak.copies import FeedCopy, StreamCopy  # noqa: PLC0415

    chance = random.Random(f"moments {options.seed}")
    callers = Callers(house, options.seed)
    checks = Checks(FeedCopy(house), StreamCopy(), callers)
    faults: Counter[str] = Counter()
    killed, began_at = 0, time.monotonic()
    while faults.total() < options.faults and time.monotonic() - began_at < options.seconds:
        fault = service.draw_fault()
        with callers:
            answered = callers.answers.total() + 8
            eventually(lambda: callers.answers.total() >= answered or bool(callers.failures), "answers")  # noqa: B023
            sweep = start_command("expire_due_holds")
            time.sleep(chance.uniform(0, options.load))
            killed += service.befall(fault)
            time.sleep(chance.uniform(0, options.load))
        sweep.join()
        assert not callers.failures, callers.failures
        checks.check()
        service.assert_all_run()
        faults[fault] += 1
        sys.stderr.write(f"{faults.total()} {fault}: {len(checks.feed.order)} events\n")
    seconds = round(time.monotonic() - began_at)
    return {"faults": faults.total(), "kinds": faults, "killed": killed, "seconds": seconds, **checks.figures()}


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="how many faults (100)")
    parser.add_argument("--seconds", type=float, default=1800, help="after how long no more faults come (1800)")
    parser.add_argument("--load", type=float, default=0.5, help="the longest load before a fault, in seconds (0.5)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats a run")
    options = parser.parse_args()
    sys.stderr.write(f"seed {options.seed}\n")
    house = House()
    os.environ |= house.environment()
    try:
        service = Service(house, random.Random(f"faults {options.seed}"))
        try:
            figures = run(house, service, options)
        finally:
            service.close()
    finally:
        house.close()
    sys.stdout.write(json.dumps({"seed": options.seed, **figures}) + "\n")


if __name__ == "__main__":
    main()
