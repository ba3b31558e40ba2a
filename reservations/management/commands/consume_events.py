"""Consume incoming events of orders and products from a Redis stream or from Kafka."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, connection

from audit import traces
from audit.metrics import store
from reservations.management.consuming.consumer import EventConsumer, NoClient, find_client
from reservations.management.consuming.redis_source import RedisSource
from reservations.management.consuming.sources import Source

logger = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Runs a consumer of incoming events."""

    help = (
        "Apply events of orders and new products from the Redis stream INBOX_STREAM or the Kafka topics INBOX_TOPICS,"
        " until SIGTERM. Any number of these processes may run at once: they share the events."
    )
    # The checks load every route and view, which this process doesn't need.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="source", choices=("redis", "kafka"), metavar="SOURCE", help="needed only if both are set"
        )
        parser.add_argument("--once", action="store_true", help="apply the existing events, and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            find_client()
        except NoClient as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError):
            connection.close()  # The consumer waits for the database, and asks again.
        source = _source(options["source"])
        store.begin_program("consumer")
        traces.begin_program("consumer")
        logger.info("consumer_started", source=source.name, client=settings.INBOX_CLIENT)
        try:
            applied = EventConsumer(source, stop).run(once=options["once"])
        except NoClient as error:
            raise CommandError(str(error)) from error
        finally:
            source.close()
            traces.end()
        self.stdout.write(f"{source.name}: {applied} events received")


def _source(chosen: str | None) -> Source:
    """The source of the settings. Raises CommandError unless it is clear which."""
    topics = [topic for topic in (name.strip() for name in settings.INBOX_TOPICS) if topic]
    configured = [name for name, is_set in (("redis", settings.INBOX_STREAM), ("kafka", topics)) if is_set]
    if chosen is None and len(configured) != 1:
        either = "Both INBOX_STREAM and INBOX_TOPICS are set: choose with --from redis or --from kafka."
        raise CommandError(either if configured else "Set INBOX_STREAM or INBOX_TOPICS.", returncode=2)
    name = chosen or configured[0]
    if name not in configured:
        raise CommandError(f"Set {'INBOX_STREAM' if name == 'redis' else 'INBOX_TOPICS'}.", returncode=2)
    if name == "redis":
        return RedisSource(
            settings.INBOX_STREAM_URL,
            settings.INBOX_STREAM,
            settings.INBOX_GROUP,
            idle_seconds=settings.INBOX_CLAIM_SECONDS,
        )
    if not settings.KAFKA_SERVERS:
        raise CommandError("INBOX_TOPICS is set, but KAFKA_SERVERS isn't.", returncode=2)
    try:
        from reservations.management.consuming.kafka_source import KafkaSource  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CommandError("confluent-kafka isn't installed: pip install 'inventory-reservation[kafka]'.") from error
    return KafkaSource(settings.KAFKA_SERVERS, topics, settings.INBOX_GROUP)
