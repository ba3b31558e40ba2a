"""The sender of one subscription: turns events of the log into deliveries, and sends what is due.

The number of simultaneous requests adapts to the receiver: a few at first, one more after each success, only one after
a failure.
"""

import asyncio
import time
from collections import deque
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from audit import traces
from audit.feed import Cursor
from audit.identifiers import EVENT, public_id
from audit.webhooks import outcomes, queue
from audit.webhooks.addresses import Lookups
from audit.webhooks.bodies import TEST_EVENT
from audit.webhooks.database import Database
from audit.webhooks.keys import Signer, load
from audit.webhooks.outcomes import Result
from audit.webhooks.queue import Delivery
from audit.webhooks.schedule import FAILING_FOR, next_attempt
from audit.webhooks.sending import Outcome, Receiver

logger = structlog.get_logger(__name__)

_FIRST_WINDOW: Final = 4
_MOST_WAITING: Final = 1000
"""The most deliveries that may be ready before more of the log is read. While the receiver acknowledges nothing, those
that wait for another attempt count as well: the other events stay in the log."""
_PROBE_SECONDS: Final = 60.0
"""How often one more event is read for a receiver that acknowledges nothing and has ``_MOST_WAITING`` deliveries."""
_RESULTS_AT_A_TIME: Final = 200
_LOOK_SECONDS: Final = 1.0


class Courier:
    """Sends the deliveries of one subscription until it is stopped, or the subscription was changed."""

    def __init__(self, database: Database, lookups: Lookups, slots: asyncio.Semaphore) -> None:
        self._database = database
        self._lookups = lookups
        self._slots = slots
        self._ready: deque[Delivery] = deque()
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._results: list[Result] = []
        self._woken = asyncio.Event()
        self._window = _FIRST_WINDOW
        self._is_stopped = False
        self._log_has_more = self._has_due = self._has_replay = True
        self._probed_at = 0.0

    def stop(self) -> None:
        """Begin no new requests, and end once those in progress have ended."""
        self._is_stopped = True
        self._woken.set()

    def notify(self, *, log_has_more: bool = False, has_due: bool = False, has_replay: bool = False) -> None:
        """Wake the sender, since there may be something to send."""
        self._log_has_more |= log_has_more
        self._has_due |= has_due
        self._has_replay |= has_replay
        if log_has_more or has_due or has_replay:
            self._woken.set()

    async def run(self, subscription_id: UUID) -> None:
        """Send the subscription's deliveries. Raises errors of the database; requests in progress are cancelled
        then."""
        taken = await self._database.call(queue.take, subscription_id)
        if taken is None:
            return
        self._subscription, ready = taken
        self._ready.extend(ready)
        self._cursor = Cursor.parse(self._subscription.cursor)
        self._signer = Signer(subscription_id, load(self._subscription.keys))
        async with Receiver(self._lookups) as self._receiver:
            try:
                await self._work()
            except queue.Lost:
                await self._end()
            finally:
                for task in self._sending.values():
                    task.cancel()

    async def _work(self) -> None:
        while not (self._is_stopped and not self._sending and not self._results):
            self._woken.clear()
            await self._save()
            if not self._is_stopped and not self._subscription.disabled_at:
                await self._find()
                self._begin()
            if not self._results:
                await self._wait()

    async def _end(self) -> None:
        """Wait for requests in progress, and record their outcomes."""
        while self._sending or self._results:
            if self._sending:
                await asyncio.wait(self._sending.values())
            try:
                await self._save()
            except queue.Lost:
                continue  # Everything was recorded.

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _save(self) -> None:
        while self._results:
            results, self._results = self._results[:_RESULTS_AT_A_TIME], self._results[_RESULTS_AT_A_TIME:]
            was_disabled = self._subscription.disabled_at
            self._ready.extend(await self._database.call(outcomes.save, self._subscription, results))
            if self._subscription.disabled_at and not was_disabled:
                self._ready.clear()
                logger.warning(
                    "webhook_disabled",
                    webhook=str(self._subscription.pk),
                    because=self._subscription.disabled_because,
                )

    async def _find(self) -> None:
        """Fill ``_ready`` with due deliveries and with new events of the log, as far as there is room."""
        paused = self._subscription.is_paused
        if self._has_due and len(self._ready) < _MOST_WAITING:
            known = self._known()
            found = await self._database.call(
                queue.due, self._subscription.pk, known, queue.EVENTS_AT_A_TIME, tests_only=paused
            )
            self._ready.extend(found)
            self._has_due = len(found) == queue.EVENTS_AT_A_TIME
        if paused:
            return
        room = await self._room()
        if self._has_replay and room:
            self._has_replay = await self._database.call(queue.replay, self._subscription)
            self._has_due |= self._has_replay
        if self._log_has_more and room:
            planned = await self._database.call(queue.plan, self._subscription, self._cursor, room)
            self._ready.extend(planned.ready)
            self._cursor, self._log_has_more = planned.cursor, planned.has_more

    def _known(self) -> list[int]:
        """The deliveries that are ready or being sent, or whose outcome isn't recorded yet."""
        ended = [each.delivery.id for each in self._results]
        return [*self._sending, *ended, *(each.id for each in self._ready)]

    async def _room(self) -> int:
        """How many events of the log may be read now."""
        if len(self._ready) >= _MOST_WAITING // 2:
            return 0
        if not self._subscription.failing_since:
            return queue.EVENTS_AT_A_TIME
        if await self._database.call(queue.count_open, self._subscription.pk, _MOST_WAITING) < _MOST_WAITING:
            return min(queue.EVENTS_AT_A_TIME, _MOST_WAITING // 10)
        if time.monotonic() - self._probed_at < _PROBE_SECONDS:
            return 0
        self._probed_at = time.monotonic()
        return 1

    def _begin(self) -> None:
        """Begin to send ready deliveries, as many as the window allows."""
        quiet_until = self._subscription.quiet_until
        if quiet_until and quiet_until > timezone.now():
            return
        while self._ready and len(self._sending) < self._window:
            delivery = self._ready.popleft()
            if self._subscription.is_paused and delivery.type != TEST_EVENT:
                continue  # It stays as it is in the database.
            self._sending[delivery.id] = asyncio.create_task(self._send(delivery))

    async def _send(self, delivery: Delivery) -> None:
        url, body = self._subscription.url, delivery.body.encode()
        async with self._slots:
            at = timezone.now()
            with traces.sending(delivery.traceparent) as attempt:
                headers = self._headers(delivery, at, body, attempt.traceparent)
                try:
                    outcome = await self._receiver.post(url, headers, body)
                except Exception as error:
                    logger.exception(
                        "webhook_attempt_failed", webhook=str(self._subscription.pk), event_id=str(delivery.event_id)
                    )
                    outcome = Outcome(at, 0, None, f"{type(error).__name__}: {error}")
                attempt.note(outcome.status)
        due_at = None if outcome.is_delivered else self._next(delivery, outcome)
        self._window = min(self._window + 1, settings.WEBHOOK_CONNECTIONS_EACH) if outcome.is_delivered else 1
        self._results.append(Result(delivery, outcome, _logged(headers), url, due_at))
        del self._sending[delivery.id]
        self._woken.set()

    def _headers(self, delivery: Delivery, at: datetime, body: bytes, traceparent: str | None) -> dict[str, str]:
        """The headers of the standard, and the trace that the attempt belongs to.

        The id is the event's: the same in each attempt, and when it is sent again.
        """
        message_id = public_id(EVENT, delivery.event_id)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.signatures(message_id, at, body),
            **({traces.TRACEPARENT: traceparent} if traceparent else {}),
        }

    def _next(self, delivery: Delivery, outcome: Outcome) -> datetime | None:
        """When to try again; None to give up, which an ordered subscription never does."""
        now = timezone.now()
        if delivery.type == TEST_EVENT:
            return None
        if not self._subscription.fifo and now - delivery.created_at > FAILING_FOR:
            return None
        return next_attempt(
            delivery.attempts + 1, now=now, retry_after=outcome.retry_after, is_endless=self._subscription.fifo
        )


def _logged(headers: dict[str, str]) -> dict[str, str]:
    """The headers of a request for the log of attempts: with only the scheme of each signature."""
    signatures = headers["webhook-signature"].split(" ")
    return headers | {"webhook-signature": " ".join(f"{each.partition(',')[0]},…" for each in signatures)}
