"""Publish the log of events to its sinks."""

import asyncio
import signal
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from django.core.management.base import BaseCommand, CommandError

from audit import feed, streams, traces
from audit.errors import Archived, DomainError
from audit.instants import NotAnInstant, parse_instant
from audit.metrics import store
from audit.webhooks.running import run_webhooks

logger = structlog.get_logger(__name__)
_LATE: Final = timedelta(minutes=1)


class Command(BaseCommand):
    """Runs a relay process (``audit.streams``), or prints how far the sinks are."""

    help = (
        "Publish events to the Redis stream and the Kafka topic of the settings, and send them to webhooks, until"
        " SIGTERM. Any number of these processes may run at once: if one ends, the others go on in its place."
    )
    # The checks load every route and view, which this process doesn't need.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument("--once", action="store_true", help="publish the existing events, and exit")
        modes.add_argument("--status", action="store_true", help="only print how far each sink is")
        modes.add_argument("--move", metavar="SINK", help="move a sink, named as in --status, to --to")
        parser.add_argument(
            "--to",
            metavar="PLACE",
            help="for --move: oldest, now, a time such as 2026-01-15T10:00:00Z, or the cursor of an event",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["move"]) != bool(options["to"]):
            raise CommandError("--move and --to are given together.", returncode=2)
        try:
            sinks = streams.configured_sinks()
        except streams.NotInstalled as error:
            raise CommandError(str(error)) from error
        if options["status"]:
            self._print_status(sinks)
        elif options["move"]:
            self._move(sinks, options["move"], options["to"])
        elif options["once"]:
            self._publish_once(sinks)
        else:
            asyncio.run(_run(sinks))

    def _publish_once(self, sinks: Sequence[streams.Sink]) -> None:
        feed.tick(waits=True)
        failed = []
        for sink in sinks:
            try:
                self.stdout.write(f"{sink.name}: {streams.drain(sink)} events published")
            except streams.ClaimedElsewhere:
                self.stdout.write(f"{sink.name}: another relay is publishing")
            except (streams.Unavailable, Archived) as error:
                failed.append(f"{sink.name}: {error}")
            finally:
                sink.close()
        if failed:
            raise CommandError("\n".join(failed))

    def _print_status(self, sinks: Sequence[streams.Sink]) -> None:
        late = False
        for sink in sinks:
            standing = streams.standing_of(sink.name)
            late = late or standing.is_archived or _age(standing) > _LATE
            self.stdout.write(f"{sink.name}: {_words(standing)}")
        if late:
            raise CommandError(f"A sink is more than {_LATE.seconds} s behind.")

    def _move(self, sinks: Sequence[streams.Sink], name: str, to: str) -> None:
        if name not in {sink.name for sink in sinks}:
            raise CommandError(f"The settings have no sink “{name}”; --status lists them.", returncode=2)
        try:
            cursor = _place(to)
            streams.move_sink(name, cursor)
        except DomainError as error:
            raise CommandError(error.detail, returncode=2) from error
        except streams.ClaimedElsewhere as error:
            raise CommandError("Nothing was changed: a relay has been publishing for too long. Try again.") from error
        self.stdout.write(f"{name} goes on from {cursor}: {_words(streams.standing_of(name))}")


async def _run(sinks: Sequence[streams.Sink]) -> None:
    """Relay until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store.begin_program("relay")
    traces.begin_program("relay")
    logger.info("relay_started", sinks=[sink.name for sink in sinks])
    try:
        await streams.run_relay(sinks, stop, beside=[run_webhooks])
    finally:
        await asyncio.to_thread(traces.end)


def _place(text: str) -> feed.Cursor:
    """The cursor that is meant. Raises Invalid, and Archived for a time before the oldest event."""
    if text == "oldest":
        return feed.cursor_oldest()
    if text == "now":
        feed.tick(waits=True)
        return feed.cursor_now()
    try:
        return feed.cursor_at(parse_instant(text, UTC))
    except NotAnInstant:
        return feed.Cursor.parse(text)


def _age(standing: streams.Standing) -> timedelta:
    return datetime.now(UTC) - standing.oldest_at if standing.oldest_at else timedelta()


def _words(standing: streams.Standing) -> str:
    if standing.is_archived:
        return (
            f"held up at {standing.cursor}: the events after it were deleted before they were published. Have it go on"
            " with --move."
        )
    if standing.oldest_at is None:
        return f"up to date at {standing.cursor}"
    return f"{standing.events_behind} events behind at {standing.cursor}, the oldest {_age(standing).seconds} s old"
