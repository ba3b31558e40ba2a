"""`python -m benchmarks.sweep service|plain`: expire all due holds, in a process of its own, and time it."""

import json
import sys
import time

import django


def main() -> None:
    """Sweep, and print the number of expired holds and the seconds it took."""
    django.setup()
    if sys.argv[1] == "plain":
        from benchmarks.plain.services import expire_due  # noqa: PLC0415 - of one of two projects
    else:
        from reservations.services.holds.expiry import expire_due_holds as expire_due  # noqa: PLC0415
    started_at = time.perf_counter()
    expired = expire_due()
    sys.stdout.write(json.dumps({"expired": expired, "seconds": time.perf_counter() - started_at}) + "\n")


if __name__ == "__main__":
    main()
