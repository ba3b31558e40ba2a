"""Variables: holding stock."""

from config import environment
from config.environment import Used

_stock = environment.section("Holding stock")

RESERVATION_TTL_MINUTES = _stock.whole(
    "RESERVATION_TTL_MINUTES",
    15,
    least=1,
    most=environment.MOST_MINUTES,
    unit="minutes",
    meaning="How long a hold lives if neither the request nor the store says so.",
    used_by=(Used.WEB, Used.CONSUMER),
)
RESERVATION_MAX_TTL_MINUTES = _stock.whole(
    "RESERVATION_MAX_TTL_MINUTES",
    60,
    least=1,
    most=environment.MOST_MINUTES,
    unit="minutes",
    meaning="The longest life that a request may ask for.",
    used_by=(Used.WEB, Used.CONSUMER),
)
LOCK_TIMEOUT = _stock.decimal(
    "LOCK_TIMEOUT",
    10.0,
    unit="seconds",
    meaning="How long a request waits for locks, over all its tries, before it is answered with 503 `busy`.",
)
LOCK_RETRIES = _stock.whole(
    "LOCK_RETRIES",
    3,
    unit="tries",
    meaning="How often a transaction that met a deadlock or a lock timeout is tried again.",
)
GROUP_COMMIT = _stock.flag(
    "GROUP_COMMIT",
    True,
    meaning="Whether concurrent requests of a process share a transaction, or a statement that reads.",
    used_by=(Used.WEB,),
)
GROUP_COMMIT_LEADERS = _stock.whole(
    "GROUP_COMMIT_LEADERS",
    1,
    least=1,
    unit="transactions",
    meaning="How many shared transactions a process runs at a time.",
    used_by=(Used.WEB,),
)
LEVEL_EVENTS = _stock.flag(
    "LEVEL_EVENTS",
    True,
    meaning=(
        "Whether each change of a stock level publishes an `InventoryLevelChangedEvent`. Without these events, "
        "reservations take a little less time. Programs that keep a copy of the stock must read the levels again "
        "after it was off."
    ),
)
GROUP_COMMIT_LOCK_TIMEOUT = _stock.decimal(
    "GROUP_COMMIT_LOCK_TIMEOUT",
    0.1,
    unit="seconds",
    meaning="How long a shared transaction waits for a lock before its requests run alone.",
    used_by=(Used.WEB,),
)
SWEEP_INTERVAL_SECONDS = _stock.whole(
    "SWEEP_INTERVAL_SECONDS",
    15,
    least=1,
    unit="seconds",
    meaning="How often due holds are swept.",
    used_by=(Used.BEAT,),
)
SWEEP_BATCH_SIZE = _stock.whole(
    "SWEEP_BATCH_SIZE",
    1000,
    least=1,
    unit="holds",
    meaning="How many holds one transaction of a sweep ends at most.",
    used_by=(Used.SWEEPER, Used.COMMANDS),
)
SOLD_OUT_CACHE_SECONDS = _stock.decimal(
    "SOLD_OUT_CACHE_SECONDS",
    0.25,
    least=0,
    most=5,
    unit="seconds",
    meaning=(
        "How long a process that found stock short refuses requests for it without reading the stock again. Stock "
        "that comes back through this process is seen at once, through another after this time at most. With 0, the "
        "stock is read each time."
    ),
    used_by=(Used.WEB,),
)
CATALOGUE_CACHE_SECONDS = _stock.decimal(
    "CATALOGUE_CACHE_SECONDS",
    5.0,
    unit="seconds",
    meaning="How long a process remembers a store's warehouses, limits and freeze, and a product's limit and levels.",
    used_by=(Used.WEB, Used.CONSUMER),
)
