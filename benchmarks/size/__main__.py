"""`python -m benchmarks.size`: make a database at size, and time every page and read of it.

The database stays in the data folder. `--seed` makes it anew; without it the one that is there is walked. Arguments
after `--` go to `benchmarks.size.walk`. A full database takes 12 GB and, on two shared cores, a quarter of an hour.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.cluster import REPOSITORY, Cluster
from benchmarks.size.seed import Scale, SizedService

DATABASE: Final = "size"


def main(arguments: list[str]) -> int:
    """Seed, walk, or keep the servers. Returns the walk's exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size", description=__doc__)
    parser.add_argument("--seed", action="store_true", help="make the database anew")
    parser.add_argument("--part", type=int, default=1, help="one of this many parts (10: a tenth of the size)")
    parser.add_argument("--keep", action="store_true", help="keep the servers running, instead of walking")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "var" / "size", help="where the servers live")
    parser.add_argument("walk", nargs="*", help="arguments of benchmarks.size.walk")
    given = parser.parse_args(arguments)
    cluster = Cluster.start(given.data_dir.resolve())
    service = SizedService(cluster, DATABASE, Scale.part(given.part))
    sys.stdout.write(f"DATABASE_URL={cluster.url(DATABASE)} REDIS_URL={cluster.redis_url}\n")
    if given.seed:
        began = time.monotonic()
        service.seed(0)
        sys.stdout.write(f"seeded in {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    while given.keep:
        time.sleep(1)
    command = [sys.executable, "-m", "benchmarks.size.walk", *given.walk]
    # Parallel workers would hide from the processor time, and static files have no manifest outside DEBUG.
    more = {"DEBUG": "true", "LOG_LEVEL": "ERROR", "PGOPTIONS": "-c max_parallel_workers_per_gather=0"}
    environment = {**os.environ, **service.environment(), **more}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
