"""Variables: api clients."""

from config import environment
from config.environment import Used

_api = environment.section("API clients")

EVENT_LISTENERS = _api.whole(
    "EVENT_LISTENERS",
    2000,
    least=1,
    unit="listeners",
    meaning=(
        "How many long polls and streams of [events](../reference/api.md#events) a web process serves at a time. "
        "Each needs a connection: see `CONNECTIONS_PER_ADDRESS`."
    ),
    used_by=(Used.WEB,),
)
TOKEN_CACHE_SECONDS = _api.decimal(
    "TOKEN_CACHE_SECONDS",
    5.0,
    unit="seconds",
    meaning="How long a process trusts a token that it has looked up.",
    used_by=(Used.WEB,),
)
IDEMPOTENCY_KEY_HOURS = _api.whole(
    "IDEMPOTENCY_KEY_HOURS",
    24,
    least=1,
    most=environment.MOST_HOURS,
    unit="hours",
    meaning="How long the answers to idempotency keys are kept.",
    used_by=(Used.WEB, Used.WORKER, Used.CONSUMER),
)
DRAFT_DAYS = _api.whole(
    "DRAFT_DAYS",
    30,
    least=1,
    most=environment.MOST_DAYS,
    unit="days",
    meaning="How long the draft of a delivery is kept after its last change.",
    used_by=(Used.WORKER,),
)
API_DOCS = _api.flag(
    "API_DOCS",
    True,
    meaning="Whether `/api/schema/` and `/api/docs/` are served, to anybody and without a token.",
    used_by=(Used.WEB,),
)
THROTTLE_REQUESTS_PER_MINUTE = _api.whole(
    "THROTTLE_REQUESTS_PER_MINUTE",
    600_000,
    unit="requests a minute",
    meaning="The most requests of one client; 0 for no limit.",
    used_by=(Used.WEB,),
)
THROTTLE_COST_PER_MINUTE = _api.whole(
    "THROTTLE_COST_PER_MINUTE",
    120_000,
    unit="units a minute",
    meaning=(
        "The most that the commands of one client may cost; 0 for no limit. A command costs 1, and 1 for each KiB"
        " of its body and answer ([Throttling](../reference/api.md#throttling))."
    ),
    used_by=(Used.WEB,),
)
CONNECTIONS_PER_ADDRESS = _api.whole(
    "CONNECTIONS_PER_ADDRESS",
    256,
    unit="connections",
    meaning=(
        "The most connections of one address (of IPv6, of one /64) that a web process keeps open; 0 for no limit."
        " Not used if `TRUSTED_PROXIES` is set: the proxies have to limit them."
    ),
    used_by=(Used.WEB,),
)
THROTTLE_FAILED_TOKENS_PER_MINUTE = _api.whole(
    "THROTTLE_FAILED_TOKENS_PER_MINUTE",
    60,
    unit="requests a minute",
    meaning="The most requests with a wrong token from one address (of IPv6, from one /64); 0 for no limit.",
    used_by=(Used.WEB,),
)
