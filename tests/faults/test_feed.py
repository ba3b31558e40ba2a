"""The feed over real sockets: a thousand listeners, cut-off connections, revoked tokens, a killed database.

No relay runs here: the web process ticks by itself.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import loops
from tests.faults.house import House, Load, Web, call, eventually
from tests.faults.listeners import Stream, close_all, open_many

EVENTS = "/api/v1/events"
RESERVED = "types=InventoryReservedEvent"
_TOKEN = """
import django, sys
django.setup()
from django.utils import timezone
from audit.authentication import issue_token
from audit.models import ApiToken
from tests.factories import make_client
if sys.argv[1] == "issue":
    print(issue_token(make_client(name="listener")))
else:
    ApiToken.objects.filter(client__name="listener").update(revoked_at=timezone.now())
"""


@pytest.fixture(scope="class")
def web(house: House) -> Iterator[Web]:
    web = Web(house, CONNECTIONS_PER_ADDRESS="0", EVENT_LISTENERS="2400", TOKEN_CACHE_SECONDS="0.5", LOG_LEVEL="INFO")
    yield web
    if web.process.poll() is None:
        web.kill()


def reserve(house: House) -> str:
    """Make a hold. Returns its id."""
    items = [{"productId": house.products[0], "quantity": 1}]
    status, body, _ = call(house, "POST", "/api/v1/inventory/reserve", {"cartId": f"cart-{uuid4()}", "items": items})
    assert status == 201, body
    return str(body["reservationId"])


def read(house: House, query: str, seconds: float = 60) -> dict[str, Any]:
    """Read a page. Asks again where the service is busy, as clients do."""
    answers: list[Any] = []

    def is_answered() -> bool:
        answers[:] = call(house, "GET", f"{EVENTS}?{query}", seconds=seconds)
        return bool(answers[0] != 503)

    eventually(is_answered, "a page")
    assert answers[0] == 200, answers
    return answers[1]  # type: ignore[no-any-return]


def memory_bytes(web: Web) -> int:
    """The memory of the web server's workers."""
    total = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == web.process.pid:
                    total += int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


class TestListeners:
    def test_a_thousand_listeners_of_one_process_get_each_event(self, house: House, web: Web) -> None:
        async def story() -> None:
            before = memory_bytes(web)
            streams = await open_many(house, 1050, f"after=now&{RESERVED}")
            gone, streams = streams[:50], streams[50:]
            held = [await asyncio.to_thread(reserve, house) for _ in range(3)]
            await close_all(gone)
            await asyncio.gather(*(stream.read_until(3) for stream in streams))
            held += [await asyncio.to_thread(reserve, house) for _ in range(3)]
            found = await asyncio.gather(*(stream.read_until(6) for stream in streams))
            assert sorted(event["key"] for event in found[0]) == sorted(held)
            assert all(events == found[0] for events in found)
            assert 0 < before < memory_bytes(web) < before + 150 * 2**20
            await close_all(streams)

        loops.run(story())

    def test_long_polls_wait_without_a_thread_and_end_with_the_first_event(self, house: House, web: Web) -> None:
        start = read(house, "after=now")["cursor"]
        with ThreadPoolExecutor(101) as threads:
            polls = [threads.submit(read, house, f"after={start}&wait=30&{RESERVED}") for _ in range(100)]
            other = threads.submit(read, house, f"after={start}&wait=1&key=nobody")
            ended = other.result()  # While a hundred wait.
            assert (ended["events"], ended["hasMore"]) == ([], False)
            held = reserve(house)
            assert {event["key"] for poll in polls for event in poll.result()["events"]} == {held}
        assert read(house, f"after={ended['cursor']}&{RESERVED}")["events"]

    def test_a_returning_stream_has_no_gap_and_no_double(self, house: House, web: Web) -> None:
        async def story() -> None:
            stream = await Stream.open(house, f"after=now&{RESERVED}")
            held = [await asyncio.to_thread(reserve, house)]
            found = [*await stream.read_until(1)]
            for _ in range(3):
                held.append(await asyncio.to_thread(reserve, house))
                await stream.close()
                held.append(await asyncio.to_thread(reserve, house))
                stream = await Stream.open(house, f"after=now&{RESERVED}", last_event_id=stream.last_event_id)
                found += await stream.read_until(2)
            await stream.close()
            assert sorted(event["key"] for event in found) == sorted(held)

        loops.run(story())

    def test_a_revoked_token_ends_its_streams_and_no_other(self, house: House, web: Web) -> None:
        async def story() -> None:
            token = house.python("-c", _TOKEN, "issue").strip()
            own, other = await Stream.open(house, token=token), await Stream.open(house)
            house.python("-c", _TOKEN, "revoke")
            await own.read_to_end()
            assert not own.events
            await asyncio.to_thread(reserve, house)
            await other.read_until(1)
            await close_all([own, other])

        loops.run(story())

    def test_listeners_survive_a_killed_database(self, house: House, web: Web) -> None:
        async def story() -> None:
            streams = await open_many(house, 20, f"after=now&{RESERVED}")
            before = house.status()["postgres_pid"]
            os.kill(before, signal.SIGKILL)
            await asyncio.to_thread(
                eventually, lambda: house.status()["postgres_pid"] != before, "PostgreSQL to come back"
            )
            held = await asyncio.to_thread(insist_on_a_hold, house)
            for events in await asyncio.gather(*(stream.read_until(1) for stream in streams)):
                assert [event["key"] for event in events] == [held]
            await close_all(streams)

        loops.run(story())

    def test_a_copy_from_levels_and_feed_equals_the_table(self, house: House, web: Web) -> None:
        with Load(house) as load:
            load.run(0.5)
            copy, cursor = copied_levels(house)
            load.run(2)
        assert not load.failures
        applied = 0
        while True:
            page = read(house, f"after={cursor}&types=InventoryLevelChangedEvent&wait=1")
            applied += sum(follow(copy, event["payload"]) for event in page["events"])
            cursor = page["cursor"]
            if not page["events"] and not page["hasMore"]:
                break
        assert applied > 10
        rows = "SELECT product_id::text, on_hand, reserved, version FROM inventory_stocklevel"
        with house.database() as database:
            assert copy == {row[0]: row[1:] for row in database.execute(rows).fetchall()}


def insist_on_a_hold(house: House) -> str:
    """Make a hold once the database is there again."""
    made: list[str] = []

    def succeeds() -> bool:
        with contextlib.suppress(AssertionError):
            made.append(reserve(house))
        return bool(made)

    eventually(succeeds, "a hold to be made")
    return made[0]


Copy = dict[str, tuple[int, int, int]]


def copied_levels(house: House) -> tuple[Copy, str]:
    """On hand, reserved and version of each product, read in pages, and the cursor of the first page."""
    copy: Copy = {}
    cursor, following = "", ""
    while following is not None:
        _, page, _ = call(house, "GET", "/api/v1/inventory/levels?limit=2" + (following and f"&cursor={following}"))
        cursor = cursor or page["eventsCursor"]
        following = page["next"]
        for level in page["items"]:
            copy[level["productId"]] = (level["quantityOnHand"], level["quantityReserved"], level["version"])
    return copy, cursor


def follow(copy: Copy, change: dict[str, Any]) -> bool:
    """Apply a change that the copy doesn't have, as the documents say. Fails if one before it is missing."""
    version = copy[change["productId"]][2]
    if change["version"] <= version:
        return False
    assert change["previousVersion"] <= version, f"a hole before {change}"
    copy[change["productId"]] = (change["new"]["onHand"], change["new"]["reserved"], change["version"])
    return True


def test_listeners_end_when_the_process_stops(house: House) -> None:
    async def story(web: Web) -> None:
        streams = await open_many(house, 20)
        poll = asyncio.create_task(asyncio.to_thread(read, house, "after=now&wait=30"))
        await asyncio.to_thread(read, house, "after=now&wait=1")
        began_at = time.monotonic()
        web.process.terminate()
        await asyncio.gather(*(stream.read_to_end() for stream in streams))
        assert (await poll)["events"] == []
        await close_all(streams)
        await asyncio.to_thread(web.process.wait, 30)
        assert web.process.returncode == 0
        assert time.monotonic() - began_at < 20  # The poll alone would have waited longer.

    web = Web(house)
    try:
        loops.run(story(web))
    finally:
        web.kill()


def test_more_listeners_than_allowed_are_refused(house: House) -> None:
    async def story() -> None:
        streams = await open_many(house, 2)
        for path in (f"{EVENTS}/stream?after=now", f"{EVENTS}?after=now&wait=30"):
            status, body, _ = await asyncio.to_thread(call, house, "GET", path)
            assert (status, body["code"]) == (503, "busy")
        assert (await asyncio.to_thread(read, house, "after=now"))["events"] == []
        await streams.pop().close()
        await asyncio.to_thread(eventually, lambda: call(house, "GET", f"{EVENTS}?after=now&wait=1")[0] == 200, "room")
        await close_all(streams)

    web = Web(house, EVENT_LISTENERS="3")  # A client may have two of them.
    try:
        loops.run(story())
    finally:
        web.kill()
