"""Publishing to a Redis stream."""

from collections.abc import Sequence
from typing import Final

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from audit.feed import LoggedEvent
from audit.streams.cloudevents import CONTENT_TYPE, attributes
from audit.streams.sinks import Unavailable

_TIMEOUT_SECONDS: Final = 5.0


class RedisSink:
    """The Redis stream ``EVENT_STREAM``, which is trimmed to about ``EVENT_STREAM_LENGTH`` events.

    A batch is a transaction of Redis (MULTI): all of it is added or nothing. Otherwise the second of two events with
    one key could be added after the first was refused, for example because Redis was out of memory.
    """

    most_events = 500

    def __init__(self, url: str, stream: str) -> None:
        self.name = f"redis {stream}"
        self._stream = stream
        # The client must not retry: the caller logs failures, and waits longer after each.
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Add events to the stream. Raises Unavailable."""
        length = settings.EVENT_STREAM_LENGTH
        try:
            with self._client.pipeline(transaction=True) as pipe:
                for event in events:
                    fields = {**attributes(event), "datacontenttype": CONTENT_TYPE, "data": event.payload}
                    pipe.xadd(self._stream, fields, maxlen=length, approximate=True)  # type: ignore[arg-type]
                pipe.execute()
        except redis.RedisError as error:
            raise Unavailable(type(error).__name__, str(error)) from error

    def close(self) -> None:
        """Close its connection."""
        self._client.close()
