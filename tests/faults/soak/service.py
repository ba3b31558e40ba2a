"""The processes of the service, and the faults that befall them."""

import io
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Final

from config import orphans
from tests.faults.house import PATIENCE_SECONDS, House, Web
from tests.faults.processes import stop_postgres

RELAYS: Final = 4
CONSUMERS: Final = 2
DECK: Final = ("relays", "relays", "consumer", "consumer", "web", "postgres")
"""Faults are drawn like cards from shuffled decks, so that each kind has its share however few there are."""
SETTINGS: Final = {
    "INBOX_STREAM": "shop:orders",
    "INBOX_CLIENT": "order-system",
    "INBOX_CLAIM_SECONDS": "0.5",
    "EVENT_STREAM_LENGTH": "10000000",
}
_SEED: Final = """
import django
django.setup()
from audit.roles import Role
from tests.factories import make_client, make_warehouse
make_client(Role.CHECKOUT, name="order-system")
make_warehouse("wh-002")
"""
# Processes are forked from one that has imported what they need, and has no threads.
_FORKS: Final = multiprocessing.get_context("forkserver")


def run_command(name: str) -> None:
    """Be a process of ``manage.py``, which ends with the soak test."""
    orphans.die_with_parent(signal.SIGKILL, os.getppid())
    from django.core.management import call_command  # noqa: PLC0415 - in the process itself, after its set-up

    from audit.errors import Busy  # noqa: PLC0415

    output = io.StringIO()
    try:
        call_command(name, stdout=output)
    except Busy:  # A sweep met an end of PostgreSQL.
        sys.exit(1)
    except SystemExit:
        sys.stderr.write(output.getvalue())
        raise


def start_command(name: str) -> ForkServerProcess:
    """Start a process of ``manage.py``."""
    process = _FORKS.Process(target=run_command, args=(name,), name=name, daemon=True)
    process.start()
    return process


def finish_command(name: str) -> None:
    """Run a process of ``manage.py`` to its end. Fails unless it ends well."""
    process = start_command(name)
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0, f"{name} ended with {process.exitcode}"


class Service:
    """A web server, relays and consumers of a house, which are killed and started again."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self._chance = chance
        self._deck: list[str] = []
        house.python("-c", _SEED)
        house.urls |= SETTINGS
        os.environ |= house.environment()
        _FORKS.set_forkserver_preload(["tests.faults.soak.warm", "tests.faults.soak.__main__"])
        self.relays = [start_command("relay_events") for _ in range(RELAYS)]
        self.consumers = [start_command("consume_events") for _ in range(CONSUMERS)]
        self.web = Web(house)

    def close(self) -> None:
        """End the processes."""
        self._kill(self.relays, len(self.relays))
        self._kill(self.consumers, len(self.consumers))
        if self.web.process.poll() is None:
            self.web.kill()

    def draw_fault(self) -> str:
        """The kind of the next fault."""
        if not self._deck:
            self._deck = self._chance.sample(DECK, len(DECK))
        return self._deck.pop()

    def befall(self, fault: str) -> int:
        """Let it happen, and start what ended again. Returns how many processes were killed."""
        faults: dict[str, Callable[[], int]] = {
            "relays": lambda: self._replace(self.relays, 2),
            "consumer": lambda: self._replace(self.consumers, 1),
            "web": self._replace_web,
            "postgres": self._stop_postgres,
        }
        return faults[fault]()

    def assert_all_run(self) -> None:
        """Check that no process has ended by itself."""
        for process in (*self.relays, *self.consumers):
            assert process.is_alive(), f"{process.name} ended by itself with {process.exitcode}"
        assert self.web.process.poll() is None, f"the web server ended by itself: {self.web.output.read_text()}"

    def _replace(self, running: list[ForkServerProcess], count: int) -> int:
        name = running[0].name
        self._kill(running, count)
        running += [start_command(name) for _ in range(count)]
        return count

    def _kill(self, running: list[ForkServerProcess], count: int) -> None:
        dead = [running.pop(self._chance.randrange(len(running))) for _ in range(count)]
        for process in dead:
            process.kill()
        for process in dead:
            process.join(PATIENCE_SECONDS)

    def _replace_web(self) -> int:
        self.web.kill()
        time.sleep(self._chance.uniform(0, 0.1))
        self.web.start()
        return 1

    def _stop_postgres(self) -> int:
        stop_postgres()
        return 1
