"""Names under which other services of the same platform are configured, and what each is here."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

_LIKENESS: Final = 0.84
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{4,}")
_OTHERS_PREFIXES: Final = ("GRANIAN_", "CELERY_", "DJANGO_", "PYTHON", "OTEL_", "PROMETHEUS_")
"""Prefixes of variables that other programs and libraries in the same process read."""


class OtherName(NamedTuple):
    """A property or variable of another service. ``ours``: the variable that has its meaning here, if one does."""

    name: str
    ours: str
    note: str


OTHER_NAMES: Final = (
    OtherName("DB_HOST", "DB_HOST", "Works as it is, unless `DATABASE_URL` names another server."),
    OtherName("DB_USER", "DB_USER", "Works as it is."),
    OtherName("DB_PASSWORD", "DB_PASSWORD", "Works as it is, whatever characters it has."),
    OtherName("REDIS_HOST", "REDIS_HOST", "Works as it is. Redis isn't used for locks: they are taken in PostgreSQL."),
    OtherName("REDIS_PORT", "REDIS_PORT", "Works as it is."),
    OtherName("KAFKA_BROKERS", "KAFKA_BROKERS", "Works as it is, and means `KAFKA_SERVERS`."),
    OtherName(
        "PRODUCT_SERVICE_URL",
        "",
        "Not needed: products are created by `POST /products` or by incoming `ProductCreatedEvent`s"
        " ([incoming events](incoming-events.md)), and no call waits for another service.",
    ),
    OtherName(
        "NOTIFICATION_SERVICE_URL",
        "",
        "Not needed: alerts are mailed (`EMAIL_HOST`), and published as events, which a"
        " [webhook](../guides/webhooks.md) sends to any service.",
    ),
    OtherName(
        "PROMETHEUS_ENDPOINT",
        "",
        "Not needed: nothing is sent to Prometheus, which collects the metrics from a port of this service"
        " ([Monitoring](../guides/monitor.md)).",
    ),
    OtherName("spring.application.name", "EVENT_SOURCE", "The name of this installation in published events."),
    OtherName(
        "spring.datasource.url",
        "DATABASE_URL",
        "As `postgres://user:password@host:5432/name`, or `DB_HOST`, `DB_PORT` and `DB_NAME`.",
    ),
    OtherName("spring.datasource.username", "DB_USER", "Or the user of `DATABASE_URL`."),
    OtherName("spring.datasource.password", "DB_PASSWORD", "Or the password of `DATABASE_URL`."),
    OtherName("spring.datasource.hikari.maximum-pool-size", "DATABASE_POOL_SIZE", "Of each process."),
    OtherName(
        "spring.datasource.hikari.minimum-idle", "", "Not needed: a pool keeps one connection and opens more as needed."
    ),
    OtherName(
        "spring.datasource.hikari.connection-timeout",
        "LOCK_TIMEOUT",
        "In seconds: a request waits no longer for a connection than for locks.",
    ),
    OtherName(
        "spring.jpa.hibernate.ddl-auto",
        "",
        "Not needed: `manage.py migrate` changes the schema, and no process does so by itself.",
    ),
    OtherName("spring.jpa.properties.hibernate.dialect", "", "Not needed: PostgreSQL is the only database."),
    OtherName(
        "spring.jpa.properties.hibernate.jdbc.batch_size",
        "",
        "Not needed: a transaction sends the same number of statements however many rows it changes.",
    ),
    OtherName(
        "spring.jpa.properties.hibernate.order_inserts",
        "",
        "Not needed: rows of one kind are written by one statement.",
    ),
    OtherName("spring.kafka.bootstrap-servers", "KAFKA_SERVERS", "As `host:port,host:port`."),
    OtherName("spring.kafka.consumer.group-id", "INBOX_GROUP", "Of `manage.py consume_events`."),
    OtherName(
        "spring.kafka.consumer.auto-offset-reset",
        "KAFKA_OPTIONS",
        "A new group reads a topic from its beginning; librdkafka calls the option `auto.offset.reset`.",
    ),
    OtherName(
        "spring.kafka.consumer.enable-auto-commit",
        "",
        "Not needed: offsets are committed once an event is applied, never by time.",
    ),
    OtherName("spring.kafka.producer.acks", "", "Not needed: the relay waits for all replicas (`acks=all`)."),
    OtherName(
        "spring.kafka.producer.retries", "", "Not needed: the relay repeats an event until Kafka has confirmed it."
    ),
    OtherName("inventory.reservation.default-timeout-minutes", "RESERVATION_TTL_MINUTES", "The same, 15 by default."),
    OtherName("inventory.reservation.max-timeout-minutes", "RESERVATION_MAX_TTL_MINUTES", "The same, 60 by default."),
    OtherName(
        "inventory.reservation.cleanup-interval-minutes",
        "SWEEP_INTERVAL_SECONDS",
        "In seconds, 15 by default. A hold can't be consumed after its expiry, even before it is swept.",
    ),
    OtherName("inventory.low-stock.check-interval-minutes", "LOW_STOCK_INTERVAL_MINUTES", "The same, 30 by default."),
    OtherName(
        "inventory.low-stock.default-threshold-percentage",
        "",
        "Fixed at 20 % of a full level ([rule 6](../explanation/rules.md)); the reorder point of a level raises it.",
    ),
    OtherName("inventory.low-stock.critical-threshold-percentage", "", "Fixed at 10 % of a full level."),
    OtherName("inventory.movement.batch-size", "ARCHIVE_BATCH_SIZE", "How many rows one archived file has."),
    OtherName("inventory.movement.retention-days", "MOVEMENT_RETENTION_DAYS", "The same, 365 by default."),
    OtherName("distributed-lock.enabled", "", "Not needed: rows of PostgreSQL are locked, always."),
    OtherName("distributed-lock.timeout-seconds", "LOCK_TIMEOUT", "The same, 10 by default."),
    OtherName("distributed-lock.retry-attempts", "LOCK_RETRIES", "The same, 3 by default."),
)


def unread_names(given: Collection[str], known: Collection[str]) -> Iterator[str]:
    """A sentence for each given name that looks like one of this service's variables, and is none."""
    elsewhere = _as_variables()
    for name in sorted(given):
        if name in known or not _NAME.fullmatch(name):
            continue
        other = elsewhere.get(name.upper().replace("_", ""))
        if other is not None:
            instead = f"set {other.ours} instead" if other.ours else "nothing replaces it"
            yield f"{name} is not read by this service: {instead} (docs/reference/configuration.md says why)."
        elif not name.startswith(_OTHERS_PREFIXES) and (meant := _meant(name, list(known))):
            yield f"{name} is not read by this service. Did you mean {meant}?"


def _as_variables() -> Mapping[str, OtherName]:
    """Other names as environment variables, without the underscores that a property's dots and dashes may become."""
    return {re.sub(r"[.\-_]", "", other.name).upper(): other for other in OTHER_NAMES if other.name != other.ours}


def _meant(name: str, known: list[str]) -> str | None:
    """The declared variable that a name is probably a misspelling of."""
    upper = name.upper()
    if upper in known:
        return upper if "_" in upper else None
    longer = [other for other in known if "_" in upper and other.startswith(f"{upper}_")]
    candidates = [other for other in known if "_" in other]
    return next(iter(longer or get_close_matches(upper, candidates, 1, _LIKENESS)), None)
