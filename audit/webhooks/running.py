"""``run_webhooks``: runs the senders of all subscriptions whose locks this process gets."""

import asyncio
import random
import time
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError

from audit import feed
from audit.webhooks import queue
from audit.webhooks.addresses import Lookups
from audit.webhooks.courier import Courier
from audit.webhooks.database import Database
from audit.webhooks.keys import Unreadable
from audit.webhooks.notices import notify_of_disabled

logger = structlog.get_logger(__name__)

_SURVEY_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0
_BROKEN_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_NOTICE_SECONDS: Final = 60.0
"""When a mail that failed is tried again."""


async def run_webhooks(stop: asyncio.Event) -> None:
    """Send webhooks until ``stop`` is set; then finish the requests in progress, within some seconds.

    Any number of processes may run it at once: each subscription is sent by one of them, and by another one after that
    one ends. Errors are logged, and it starts again after some seconds.
    """
    pause = 0.1
    while not stop.is_set():
        database = Database()
        try:
            await database.open()
            pause = 0.1
            await _Session(database).run(stop)
        except* (OperationalError, InterfaceError) as errors:
            logger.warning("webhooks_database_away", error=str(errors.exceptions[0]))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        except* Exception:
            logger.exception("webhooks_stopped")
            pause = _LONGEST_PAUSE_SECONDS
        finally:
            await database.close()
        await _wait(stop, pause * (0.5 + random.random()))  # noqa: S311 - jitter


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


class _Session:
    """The senders of subscriptions, for the duration of one database session."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lookups = Lookups()
        self._slots = asyncio.Semaphore(settings.WEBHOOK_CONNECTIONS)
        self._couriers: dict[UUID, tuple[int, Courier, asyncio.Task[None]]] = {}
        self._broken_until: dict[UUID, float] = {}
        self._notices: set[asyncio.Task[Any]] = set()
        self._no_notices_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Raises errors of the database, in a group."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_log(stop))
                while not stop.is_set():
                    await self._survey(group)
                    await _wait(stop, _SURVEY_SECONDS)
                await self._end()
        finally:
            self._lookups.close()

    async def _end(self) -> None:
        """Let requests in progress end; cancel those that take longer than some seconds."""
        for _, courier, _ in self._couriers.values():
            courier.stop()
        tasks = [task for _, _, task in self._couriers.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for task in tasks:
            task.cancel()

    async def _follow_log(self, stop: asyncio.Event) -> None:
        """Tick, and wake the senders when the log has new events, by this process or another one."""
        pace, end = feed.Pace(), None
        while not stop.is_set():
            batch, now = await self._database.call(_look)
            if now != end:
                end = now
                for _, courier, _ in self._couriers.values():
                    courier.notify(log_has_more=True)
            await _wait(stop, pace.pause_seconds(batch))

    async def _survey(self, group: asyncio.TaskGroup) -> None:
        """Start, stop and wake senders according to the state of the subscriptions."""
        await self._database.check()
        found = {each.id: each for each in await self._database.call(queue.survey, [*self._couriers])}
        for id_, (version, courier, task) in [*self._couriers.items()]:
            now = found.get(id_)
            if task.done():
                del self._couriers[id_]
                found.pop(id_, None)  # The next round may start it again.
                await self._database.call(queue.release, [id_])
            elif now is None or now.version != version or not now.is_enabled:
                courier.stop()
            else:
                courier.notify(has_due=now.has_due, has_replay=now.has_replay)
        for each in found.values():
            if each.must_notify and not self._notices and time.monotonic() >= self._no_notices_until:
                self._notice(each.id)
            if not each.is_mine or each.id in self._couriers:
                continue
            if self._broken_until.get(each.id, 0) > time.monotonic():
                await self._database.call(queue.release, [each.id])
                continue
            courier = Courier(self._database, self._lookups, self._slots)
            task = group.create_task(self._work(courier, each.id))
            self._couriers[each.id] = (each.version, courier, task)

    async def _work(self, courier: Courier, subscription_id: UUID) -> None:
        """Run a subscription's sender. Its errors are logged, and don't stop the others."""
        try:
            await courier.run(subscription_id)
        except (OperationalError, InterfaceError):
            raise
        except Unreadable as error:
            self._broken_until[subscription_id] = time.monotonic() + _BROKEN_SECONDS
            logger.warning("webhook_unreadable", webhook=str(subscription_id), error=str(error))
        except Exception:
            self._broken_until[subscription_id] = time.monotonic() + _BROKEN_SECONDS
            logger.exception("webhook_broken", webhook=str(subscription_id))

    def _notice(self, subscription_id: UUID) -> None:
        """Mail in a thread of its own: a mail server may hang."""
        task = asyncio.create_task(asyncio.to_thread(notify_of_disabled, subscription_id))
        self._notices.add(task)
        task.add_done_callback(self._noticed)

    def _noticed(self, task: asyncio.Task[Any]) -> None:
        self._notices.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("webhook_notice_failed", error=str(error))
            self._no_notices_until = time.monotonic() + _NOTICE_SECONDS


def _look() -> tuple[feed.Batch | None, feed.Cursor]:
    """Tick, and find the end of the log."""
    return feed.tick(), feed.cursor_now()
