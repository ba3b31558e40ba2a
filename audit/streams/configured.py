"""The sinks of the settings."""

from django.conf import settings

from audit.streams.redis_sink import RedisSink
from audit.streams.sinks import Sink


class NotInstalled(Exception):
    """A sink is configured whose library isn't installed."""


def configured_sinks() -> list[Sink]:
    """The sinks that the settings name. Raises NotInstalled."""
    sinks: list[Sink] = []
    if settings.EVENT_STREAM:
        sinks.append(RedisSink(settings.EVENT_STREAM_URL, settings.EVENT_STREAM))
    if settings.KAFKA_SERVERS:
        try:
            from audit.streams.kafka_sink import KafkaSink  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise NotInstalled(
                "KAFKA_SERVERS is set, but confluent-kafka isn't installed: pip install 'inventory-reservation[kafka]'."
            ) from error
        sinks.append(KafkaSink(settings.KAFKA_SERVERS, settings.KAFKA_TOPIC))
    return sinks


def configured_names() -> list[str]:
    """The names of the sinks of the settings, without connecting to any."""
    redis = [f"redis {settings.EVENT_STREAM}"] if settings.EVENT_STREAM else []
    kafka = [f"kafka {settings.KAFKA_TOPIC}"] if settings.KAFKA_SERVERS else []
    return redis + kafka
