"""Incoming events from topics of Kafka, as a consumer of a group. Needs confluent-kafka, the extra ``kafka``."""

from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.conf import settings

from reservations.management.consuming.sources import MOST_ENTRIES, READ_SECONDS, Entry, Unavailable, body_of, text

_DEFAULTS: Final = {"client.id": "inventory-inbox", "auto.offset.reset": "earliest"}
_FIXED: Final = {
    # Offsets are committed after the transaction that applied the messages.
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Errors are reported to this class; librdkafka would write each attempt to connect to stderr.
    "log_level": 0,
}
_PREFIX: Final = "ce_"


class KafkaSource:
    """Topics of Kafka. Their partitions are shared among the consumers of the group; messages of a partition are read
    in sequence."""

    def __init__(self, servers: str, topics: Sequence[str], group: str) -> None:
        self.name = f"kafka {','.join(topics)}"
        self._trouble: KafkaError | None = None
        options = {**_DEFAULTS, **settings.KAFKA_OPTIONS, **_FIXED, "bootstrap.servers": servers, "group.id": group}
        self._consumer = Consumer({**options, "error_cb": self._note})
        self._consumer.subscribe(list(topics))

    def read(self) -> list[Entry]:
        """The next messages, in sequence. Raises Unavailable."""
        self._trouble = None
        try:
            messages = self._consumer.consume(MOST_ENTRIES, READ_SECONDS)
        except KafkaException as error:
            raise _unavailable(error.args[0]) from error
        failed = next((message.error() for message in messages if message.error()), None)
        entries = [_entry(message) for message in messages if not message.error()]
        if not entries and (failed or self._trouble):
            raise _unavailable(failed or self._trouble)
        return entries

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Commit the offsets after these messages. Raises Unavailable."""
        offsets: dict[tuple[str, int], int] = {}
        for entry in entries:
            topic, partition, offset = entry.token
            offsets[topic, partition] = max(offset + 1, offsets.get((topic, partition), 0))
        try:
            self._consumer.commit(
                offsets=[TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()],
                asynchronous=False,
            )
        except KafkaException as error:
            raise _unavailable(error.args[0]) from error

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _note(self, error: KafkaError) -> None:
        """Store the last error that librdkafka reports in the background, such as that no broker can be reached; it
        keeps trying."""
        self._trouble = error


def _unavailable(error: Any) -> Unavailable:
    return Unavailable(error.name(), error.str())


def _entry(message: Message) -> Entry:
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    pairs: Any = message.headers() or []
    headers = {name: value for name, value in pairs if isinstance(value, bytes)}
    attributes = {
        name.removeprefix(_PREFIX): text(value) for name, value in headers.items() if name.startswith(_PREFIX)
    }
    value = message.value()
    data = value if isinstance(value, bytes) else (value or "").encode()
    body = body_of(attributes, data) if attributes else data
    return Entry(f"kafka {topic}/{partition}/{offset}", body, (topic, partition, offset))
