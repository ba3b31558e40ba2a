"""Variables: processes and connections."""

from config import environment
from config.environment import Used
from config.variables.servers import IS_LOCAL

_programs = environment.section("Processes and connections")

DATABASE_POOL_SIZE = _programs.whole(
    "DATABASE_POOL_SIZE",
    0,
    unit="connections",
    meaning=(
        "The most database connections of a process. With 0 each thread keeps one connection. For the web server "
        "the default is 20: at most 8 are used by the console and its files, 12 are left for the API."
    ),
)
DATABASE_PREPARED_STATEMENTS = _programs.flag(
    "DATABASE_PREPARED_STATEMENTS",
    True,
    meaning=(
        "Whether statements are prepared. Behind a PgBouncer without `max_prepared_statements` they never are: `false` "
        "then avoids the warning."
    ),
)
WEB_SERVES = _programs.choice(
    "WEB_SERVES",
    "all",
    ("all", "api", "console"),
    unit="part",
    meaning=(
        "What the web server answers: `all`, only the `api` (`/api/`), or only the `console` (`/admin/`). It answers "
        "421 to the rest. With both kinds of process behind a proxy, staff don't slow down the shop."
    ),
    used_by=(Used.WEB,),
)
SHUTDOWN_GRACE_SECONDS = _programs.decimal(
    "SHUTDOWN_GRACE_SECONDS",
    0.0 if IS_LOCAL else 5.0,
    least=0.0,
    unit="seconds",
    meaning=(
        "How long a web process that was told to stop (SIGTERM) still accepts connections, while `/health/ready` "
        "answers 503. It must exceed the time that the proxy takes to notice."
    ),
    used_by=(Used.WEB,),
    shown="5 outside DEBUG and DEMO, else 0",
)
PROGRESS_SECONDS = _programs.decimal(
    "PROGRESS_SECONDS",
    10.0,
    unit="seconds",
    meaning=(
        "How long a caller may take for the next 16 KiB of a body (then 408), and for 64 KiB of an export or a "
        "static file (then it is cut off)."
    ),
    used_by=(Used.WEB,),
)
GRANIAN_WORKERS = _programs.whole(
    "GRANIAN_WORKERS",
    1,
    least=1,
    unit="processes",
    meaning="The web server's processes: one for every two cores.",
    used_by=(Used.WEB,),
)
GRANIAN_BACKPRESSURE = _programs.whole(
    "GRANIAN_BACKPRESSURE",
    None,
    least=1,
    most=1_000_000,
    unit="connections",
    meaning=(
        "The most connections that a web process accepts at a time. By default, 512 fewer than the files that it may "
        "open."
    ),
    used_by=(Used.WEB,),
    shown="128 to 4096",
)
HOST = _programs.text(
    "HOST",
    "127.0.0.1",
    unit="address",
    meaning="The address that the web server listens on. In the image it is 0.0.0.0.",
    used_by=(Used.WEB, Used.DEMO),
)
PORT = _programs.port(
    "PORT",
    8000,
    meaning="The port that the web server listens on.",
    used_by=(Used.WEB, Used.DEMO),
)
CANARY = _programs.flag(
    "CANARY",
    True,
    meaning="Whether the canary runs: every minute it reserves, consumes and returns a unit of a hidden product.",
    used_by=(Used.BEAT, Used.WORKER),
)
CANARY_URL = _programs.text(
    "CANARY_URL",
    "",
    unit="URL",
    meaning=(
        "The address of the service, such as `http://web:8000`, to which the canary sends its calls as a shop does. "
        "Its host must be in `ALLOWED_HOSTS`. Without it the canary runs in the worker and sends no requests."
    ),
    used_by=(Used.WORKER,),
)
