"""Streams: the log of events, published to Redis Streams and to Kafka by relay processes.

A *sink* is a destination of events, such as a Redis stream. A relay process (``manage.py relay_events``) ends batches
of the log and publishes them, in order, to each sink. Any number of relays may run: for each batch, one of them claims
the sink's cursor by an advisory lock (docs/explanation/adr/0010-relays-claim-a-cursor-for-each-batch.md).

Every event is published at least once. It is published again if a relay, Redis, Kafka or PostgreSQL fails after the
sink has received the event and before the cursor was stored.
"""

from audit.streams.configured import NotInstalled, configured_names, configured_sinks
from audit.streams.cursors import ClaimedElsewhere, Standing, move_sink, standing_of
from audit.streams.publishing import Published, publish_next
from audit.streams.relay import Running, drain, run_relay
from audit.streams.sinks import Sink, Unavailable

__all__ = [
    "ClaimedElsewhere",
    "NotInstalled",
    "Published",
    "Running",
    "Sink",
    "Standing",
    "Unavailable",
    "configured_names",
    "configured_sinks",
    "drain",
    "move_sink",
    "publish_next",
    "run_relay",
    "standing_of",
]
