"""`python -m benchmarks.size.walk`: walk all pages and reads of the database that ``DATABASE_URL`` names, in process.

Prints the slowest reads, each with its whole and its database milliseconds, and how many took longer than the goal.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django

from benchmarks.size.seed import RARE_WAREHOUSE

if TYPE_CHECKING:
    from benchmarks.size.timing import Timed


def main(arguments: list[str]) -> int:
    """Walk and report. Returns 1 if a read took more processor time than the goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size.walk", description=__doc__)
    parser.add_argument("--lists", default="", help="of the console, such as audit.auditentry, or pages; all if empty")
    parser.add_argument("--reads", default="", help="of the API, whose path contains this")
    parser.add_argument("--only", choices=("console", "api"), help="one of both")
    parser.add_argument("--people", default="all,common,rare", help="of all, of a common and of a rare warehouse")
    parser.add_argument("--slowest", type=int, default=60, help="how many are printed (60)")
    parser.add_argument("--once", action="store_true", help="read slow ones once, not three times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append each result, as it is found, as a line")
    given = parser.parse_args(arguments)
    django.setup()
    from benchmarks.size import timing  # noqa: PLC0415 - needs the settings

    if given.once:
        timing.repeats = 1
    found: list[Timed] = []
    for each in _walk(given):
        found.append(each)
        if given.json:
            with given.json.open("a") as lines:
                lines.write(f"{json.dumps(vars(each))}\n")
        if each.processor_ms > timing.MOST_MS or each.status >= 400:
            sys.stderr.write(f"{each.line()}\n")
    found.sort(key=lambda each: -each.processor_ms)
    sys.stdout.write("processor    whole database (ms)  buffers\n")
    sys.stdout.writelines(f"{each.line()}\n" for each in found[: given.slowest])
    slow = sum(each.processor_ms > timing.MOST_MS for each in found)
    sys.stdout.write(f"{slow} of {len(found)} took more than {timing.MOST_MS} ms of the processor\n")
    return 1 if slow else 0


def _walk(given: argparse.Namespace) -> "Iterator[Timed]":
    from benchmarks.size import api, console  # noqa: PLC0415 - need the settings

    lists = tuple(name for name in given.lists.split(",") if name)
    people = {"all": None, "common": ("wh-001",), "rare": (f"wh-{RARE_WAREHOUSE:03}",)}
    for who in given.people.split(",") if given.only != "api" else ():
        yield from console.Walker(who, people[who], lists).walk()
    if given.only != "console":
        yield from api.walk(given.reads)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
