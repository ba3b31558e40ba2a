"""Publishing to a Kafka topic. Needs confluent-kafka, the extra ``kafka``."""

import time
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer
from django.conf import settings

from audit.feed import LoggedEvent
from audit.streams.cloudevents import CONTENT_TYPE, attributes
from audit.streams.sinks import Unavailable
from audit.traces import TRACEPARENT

_PURGE_SECONDS: Final = 1.0
_DEFAULTS: Final = {
    "client.id": "inventory-relay",
    # As Java's clients choose partitions, so that their topics and this one can be joined by key.
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    # Report a missing topic soon, not only after half a minute.
    "topic.metadata.propagation.max.ms": 5000,
}
_FIXED: Final = {
    "acks": "all",
    "enable.idempotence": True,
    # If the client gave up a message, later ones of the batch would be published without it. Only this class gives up,
    # and only whole batches.
    "message.timeout.ms": 0,
    # Errors are reported to this class; librdkafka would write each attempt to connect to stderr.
    "log_level": 0,
}


class KafkaSink:
    """The Kafka topic ``KAFKA_TOPIC``. The message's key is the event's, so that a key's events stay in order.

    The attributes of CloudEvents are headers with the prefix ``ce_``, and the payload is the value (binary mode).
    """

    most_events = 1000
    timeout_seconds = 15.0

    def __init__(self, servers: str, topic: str) -> None:
        self.name = f"kafka {topic}"
        self._topic = topic
        self._options = {**_DEFAULTS, **settings.KAFKA_OPTIONS, **_FIXED, "bootstrap.servers": servers}
        self._producer: Producer | None = None
        self._error: KafkaError | None = None
        self._trouble: KafkaError | None = None

    def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Produce events and wait until all in-sync replicas have them. Raises Unavailable.

        After a failure the producer is discarded with its unsent messages. The messages it has sent are, for each
        partition, the beginning of the batch, which is published again.
        """
        self._error = self._trouble = None
        deadline = time.monotonic() + self.timeout_seconds
        try:
            producer = self._connected()
            for event in events:
                self._produce(producer, event, deadline)
            if producer.flush(max(0.0, deadline - time.monotonic())):
                self._fail(None)
        except KafkaException as error:
            self._fail(error.args[0])
        if self._error is not None:
            self._fail(self._error)

    def close(self) -> None:
        """Discard the producer, with its unsent messages."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(_PURGE_SECONDS)

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer({**self._options, "error_cb": self._note})
        return self._producer

    def _produce(self, producer: Producer, event: LoggedEvent, deadline: float) -> None:
        headers: list[tuple[str, str | bytes | None]] = [
            (f"ce_{name}", value.encode()) for name, value in attributes(event).items()
        ]
        headers.append(("content-type", CONTENT_TYPE.encode()))
        if event.traceparent:
            headers.append((TRACEPARENT, event.traceparent.encode()))  # Where clients of Kafka look for it.
        while True:
            try:
                return producer.produce(
                    self._topic,
                    key=event.key.encode(),
                    value=event.payload.encode(),
                    headers=headers,
                    on_delivery=self._delivered,
                )
            except BufferError:
                if time.monotonic() > deadline:
                    self._fail(None)
                producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        self._error = self._error or error

    def _note(self, error: KafkaError) -> None:
        """Store the last error that librdkafka reports in the background, such as that no broker can be reached; it
        keeps trying."""
        self._trouble = error

    def _fail(self, error: KafkaError | None) -> NoReturn:
        self.close()
        error = error or self._trouble
        if error is None:
            raise Unavailable("timeout", f"not acknowledged within {self.timeout_seconds:.0f} s")
        raise Unavailable(error.name(), error.str())
