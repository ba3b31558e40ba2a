"""Variables: events."""

from config import environment, parsing
from config.environment import Used
from config.variables.servers import IS_LOCAL

_events = environment.section(
    "Events",
    "Read by relay processes ([Streams of events](../guides/streams.md)) and by consumers\n"
    "([Drive reservations by order events](../guides/order-events.md)).",
)

EVENT_STREAM = _events.text(
    "EVENT_STREAM",
    "inventory:events",
    unit="text",
    meaning="The Redis stream that events are published to. If empty, events aren't published to Redis.",
    used_by=(Used.RELAY,),
)
EVENT_STREAM_URL = _events.parsed(
    "EVENT_STREAM_URL",
    "",
    parsing.redis_url,
    kind="redis://…",
    unit="URL",
    meaning="The Redis server of that stream, if it isn't that of `REDIS_URL`.",
    used_by=(Used.RELAY, Used.DEMO),
    is_secret=True,
)
EVENT_STREAM_LENGTH = _events.whole(
    "EVENT_STREAM_LENGTH",
    100_000,
    least=1,
    unit="events",
    meaning=(
        "About how many events the stream keeps. The oldest ones are removed. An event needs about 600 bytes of memory."
    ),
    used_by=(Used.RELAY,),
)
KAFKA_BROKERS = _events.parsed(
    "KAFKA_BROKERS",
    "",
    parsing.brokers,
    kind="host:port, …",
    unit="list",
    meaning="Another name of `KAFKA_SERVERS`.",
    used_by=(Used.RELAY, Used.CONSUMER),
)
KAFKA_SERVERS = _events.parsed(
    "KAFKA_SERVERS",
    KAFKA_BROKERS,
    parsing.brokers,
    kind="host:port, …",
    unit="list",
    meaning="The Kafka bootstrap servers, as `host:port,host:port`. If empty, nothing is published to Kafka.",
    used_by=(Used.RELAY, Used.CONSUMER),
    shown="`KAFKA_BROKERS`, or empty",
)
KAFKA_SERVERS = KAFKA_SERVERS or KAFKA_BROKERS
KAFKA_TOPIC = _events.text(
    "KAFKA_TOPIC",
    "inventory.events",
    unit="text",
    meaning="The topic that events are published to.",
    used_by=(Used.RELAY,),
)
KAFKA_OPTIONS: dict[str, str] = _events.parsed(
    "KAFKA_OPTIONS",
    {},
    parsing.options,
    kind="JSON",
    unit="JSON",
    meaning=(
        "More options of [librdkafka](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md), "
        'such as those for logging in, as a JSON object of texts: `{"security.protocol": "SASL_SSL", '
        '"sasl.mechanism": "PLAIN", …}`.'
    ),
    used_by=(Used.RELAY, Used.CONSUMER),
    is_secret=True,
)
INBOX_STREAM = _events.text(
    "INBOX_STREAM",
    unit="text",
    meaning="The Redis stream that `manage.py consume_events` reads [incoming events](incoming-events.md) from.",
    used_by=(Used.CONSUMER,),
)
INBOX_STREAM_URL = _events.parsed(
    "INBOX_STREAM_URL",
    "",
    parsing.redis_url,
    kind="redis://…",
    unit="URL",
    meaning="The Redis server of that stream, if it isn't that of `REDIS_URL`.",
    used_by=(Used.CONSUMER,),
    is_secret=True,
)
INBOX_TOPICS = _events.texts(
    "INBOX_TOPICS",
    unit="list",
    meaning="The Kafka topics that `manage.py consume_events` reads incoming events from, on `KAFKA_SERVERS`.",
    used_by=(Used.CONSUMER,),
)
INBOX_GROUP = _events.text(
    "INBOX_GROUP",
    "inventory",
    unit="text",
    meaning="The name of the consumer group of `manage.py consume_events`, in Redis and in Kafka.",
    used_by=(Used.CONSUMER,),
)
INBOX_CLIENT = _events.text(
    "INBOX_CLIENT",
    unit="text",
    meaning=(
        "The name of the API client on whose behalf incoming events are applied. It needs the role `checkout`, or "
        "`manager` if there are events of new products. If it is limited to stores, so are the events."
    ),
    used_by=(Used.CONSUMER,),
)
INBOX_CLAIM_SECONDS = _events.decimal(
    "INBOX_CLAIM_SECONDS",
    60.0,
    unit="seconds",
    meaning=(
        "After how long a consumer takes over entries of a Redis stream that another one has read and not acknowledged."
    ),
    used_by=(Used.CONSUMER,),
)
EVENT_SOURCE = _events.parsed(
    "EVENT_SOURCE",
    "/inventory",
    parsing.uri_reference,
    kind="URI",
    unit="URI",
    meaning=(
        "The attribute `source` of published events. If several installations publish to one stream or topic, "
        "give each its own."
    ),
    used_by=(Used.WEB, Used.RELAY),
)
WEBHOOK_ALLOWED_NETWORKS = _events.networks(
    "WEBHOOK_ALLOWED_NETWORKS",
    "127.0.0.0/8,::1/128" if IS_LOCAL else "",
    meaning=(
        "Networks that aren't public and to which [webhooks](../guides/webhooks.md) may be sent nevertheless, as "
        "`10.1.0.0/16,fd00::/8`."
    ),
    used_by=(Used.WEB, Used.RELAY),
    shown="in DEBUG and DEMO: this machine",
)
WEBHOOK_ALLOW_HTTP = _events.flag(
    "WEBHOOK_ALLOW_HTTP",
    IS_LOCAL,
    meaning="Whether webhooks may be sent without TLS.",
    used_by=(Used.WEB, Used.RELAY),
    shown="true in DEBUG and DEMO",
)
WEBHOOK_CA_FILE = _events.parsed(
    "WEBHOOK_CA_FILE",
    None,
    parsing.certificates,
    kind="PEM file",
    unit="path",
    meaning=(
        "A file (PEM) with the certificates of further authorities to trust for receivers, beside those that the "
        "system trusts."
    ),
    used_by=(Used.RELAY,),
)
WEBHOOK_CONNECTIONS = _events.whole(
    "WEBHOOK_CONNECTIONS",
    200,
    least=1,
    unit="requests",
    meaning="How many webhooks a relay process sends at a time.",
    used_by=(Used.RELAY,),
)
WEBHOOK_CONNECTIONS_EACH = _events.whole(
    "WEBHOOK_CONNECTIONS_EACH",
    16,
    least=1,
    unit="requests",
    meaning="How many webhooks a relay process sends to one receiver at a time.",
    used_by=(Used.RELAY,),
)
WEBHOOK_ATTEMPT_DAYS = _events.whole(
    "WEBHOOK_ATTEMPT_DAYS",
    30,
    least=1,
    most=environment.MOST_DAYS,
    unit="days",
    meaning="How long the attempts to deliver webhooks can be read.",
    used_by=(Used.WORKER,),
)
