"""Variables: servers and security."""

from pathlib import Path

from config import environment, parsing, server_addresses
from config.environment import Used

BASE_DIR = Path(__file__).resolve().parents[2]

_servers = environment.section("Servers and security")

DATABASE_URL = _servers.parsed(
    "DATABASE_URL",
    "",
    parsing.database_url,
    kind="postgres://…",
    unit="URL",
    meaning=(
        "The PostgreSQL server (15 or later), as `postgres://user:password@host/name`. A query sets "
        "options of libpq, such as `?sslmode=verify-full&connect_timeout=3`. Without it and `DB_HOST` an embedded "
        "PostgreSQL is started, for development only."
    ),
    is_secret=True,
)
DB_HOST = _servers.parsed(
    "DB_HOST",
    "",
    parsing.host,
    kind="host",
    unit="host name",
    meaning="The PostgreSQL server, where `DATABASE_URL` isn't given.",
)
DB_PORT = _servers.port("DB_PORT", server_addresses.POSTGRES_PORT, meaning="The server's port. Used with `DB_HOST`.")
DB_NAME = _servers.text("DB_NAME", "inventory_db", unit="text", meaning="The database's name. Used with `DB_HOST`.")
DB_USER = _servers.text("DB_USER", "inventory_user", unit="text", meaning="The database role. Used with `DB_HOST`.")
DB_PASSWORD = _servers.text(
    "DB_PASSWORD",
    unit="text",
    meaning="The role's password, not escaped as in a URL. Used with `DB_HOST`.",
    is_secret=True,
)
REDIS_URL = _servers.parsed(
    "REDIS_URL",
    "",
    parsing.redis_url,
    kind="redis://…",
    unit="URL",
    meaning=(
        "The Redis server for Celery and throttling, as `redis://…`, `rediss://…` or `unix://…`. Without it and "
        "`REDIS_HOST` an embedded Redis is started."
    ),
    is_secret=True,
)
REDIS_HOST = _servers.parsed(
    "REDIS_HOST",
    "",
    parsing.host,
    kind="host",
    unit="host name",
    meaning="The Redis server, where `REDIS_URL` isn't given.",
)
REDIS_PORT = _servers.port(
    "REDIS_PORT", server_addresses.REDIS_PORT, meaning="The server's port. Used with `REDIS_HOST`."
)
REDIS_PASSWORD = _servers.text(
    "REDIS_PASSWORD",
    unit="text",
    meaning="The server's password, not escaped as in a URL. Used with `REDIS_HOST`.",
    is_secret=True,
)
if DB_HOST and not DATABASE_URL:
    DATABASE_URL = server_addresses.database_url(
        host=DB_HOST, port=DB_PORT, name=DB_NAME, user=DB_USER, password=DB_PASSWORD
    )
if REDIS_HOST and not REDIS_URL:
    REDIS_URL = server_addresses.redis_url(host=REDIS_HOST, port=REDIS_PORT, password=REDIS_PASSWORD)
DEMO = _servers.flag(
    "DEMO",
    False,
    meaning=(
        "Whether this is the demonstration, as `make demo` sets it: the settings of production, with the defaults that "
        "a developer's machine needs. Like `DEBUG`, it is for this machine alone."
    ),
)
DEBUG = _servers.flag(
    "DEBUG",
    not (DATABASE_URL or DEMO),
    meaning=(
        "Django's debug mode, for this machine alone: with other hosts in `ALLOWED_HOSTS`, or another `HOST`, "
        "nothing starts."
    ),
    shown="true without `DATABASE_URL`",
)
IS_LOCAL = DEBUG or DEMO
"""Whether only this machine may call the service: other defaults are safe then."""
SECRET_KEY = _servers.text(
    "SECRET_KEY",
    unit="text",
    meaning="The secret that signs sessions. Needed outside DEBUG and DEMO, with at least 50 characters.",
    shown="in DEBUG and DEMO: made once and kept in `DATA_DIR`",
    is_secret=True,
)
SECRET_KEY_FALLBACKS = _servers.texts(
    "SECRET_KEY_FALLBACKS",
    unit="texts",
    meaning=(
        "Earlier secrets, separated by commas: sessions and secrets of webhooks that were made with them stay valid."
    ),
    is_secret=True,
)
ALLOWED_HOSTS = _servers.parsed(
    "ALLOWED_HOSTS",
    ["localhost", "127.0.0.1", "[::1]"] if IS_LOCAL else [],
    parsing.hosts,
    kind="host names",
    unit="list",
    meaning="The host names under which the service may be called. Needed outside DEBUG and DEMO.",
    used_by=(Used.WEB,),
    shown="in DEBUG and DEMO: this machine",
)
TRUSTED_PROXIES = _servers.whole(
    "TRUSTED_PROXIES",
    0,
    unit="proxies",
    meaning="How many proxies stand in front of the service, so that their `X-Forwarded-*` headers are trusted.",
    used_by=(Used.WEB,),
)
SECURE_COOKIES = _servers.flag(
    "SECURE_COOKIES",
    not DEMO,
    meaning="Whether browsers send the console's cookies over HTTPS alone. Read outside DEBUG.",
    used_by=(Used.WEB,),
    shown="true outside DEMO",
)
CSRF_TRUSTED_ORIGINS: list[str] = _servers.parsed(
    "CSRF_TRUSTED_ORIGINS",
    [],
    parsing.origins,
    kind="origins",
    unit="list",
    meaning=(
        "The origins, with their scheme, that the console's forms may be sent from. Needed where a proxy changes the "
        "origin. Read outside DEBUG."
    ),
    used_by=(Used.WEB,),
)
HSTS_SECONDS = _servers.whole(
    "HSTS_SECONDS",
    31_536_000,
    unit="seconds",
    meaning=(
        "How long browsers use only HTTPS for this host after an answer by HTTPS; 0 to send no such header."
        " Read outside DEBUG."
    ),
    used_by=(Used.WEB,),
)
DATA_DIR = _servers.path(
    "DATA_DIR",
    BASE_DIR / "var",
    meaning=(
        "The folder of the embedded servers, of the demonstration, and of everything else that has no folder of "
        "its own."
    ),
    shown="`var` in the repository",
)
STATIC_ROOT = _servers.path(
    "STATIC_ROOT",
    DATA_DIR / "static",
    meaning="The folder that static files are collected into.",
    used_by=(Used.WEB, Used.COMMANDS, Used.DEMO),
    shown="`static` in `DATA_DIR`",
)
LOG_LEVEL = _servers.choice(
    "LOG_LEVEL",
    "INFO",
    ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    unit="level",
    meaning="The least severe log lines that are written: `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.",
)
LOG_REQUESTS = _servers.choice(
    "LOG_REQUESTS",
    "errors",
    ("all", "errors", "none"),
    unit="requests",
    meaning=(
        "Which requests are [logged](../guides/logs.md): `all`, only `errors` (those that fail, and slow ones; "
        "the same one a few times a minute), or `none`."
    ),
    used_by=(Used.WEB,),
)
LOG_SLOW_SECONDS = _servers.decimal(
    "LOG_SLOW_SECONDS",
    1.0,
    unit="seconds",
    meaning="The duration from which a request counts as slow. Long polls, streams and downloads never do.",
    used_by=(Used.WEB,),
)
EMBEDDED_POSTGRES_OPTIONS = _servers.text(
    "EMBEDDED_POSTGRES_OPTIONS",
    unit="text",
    meaning="More options for the embedded PostgreSQL, such as `-c fsync=off`.",
)
