"""Variables: servers and security."""

from pathlib import Path

from config import environment
from config.environment import Used

BASE_DIR = Path(__file__).resolve().parents[2]

_servers = environment.section("Servers and security")

DATABASE_URL = _servers.text(
    "DATABASE_URL",
    unit="URL",
    meaning=(
        "The PostgreSQL server (15 or later), as `postgres://user:password@host/name`. Without it an embedded "
        "PostgreSQL is started, for development only."
    ),
    is_secret=True,
)
REDIS_URL = _servers.text(
    "REDIS_URL",
    unit="URL",
    meaning=(
        "The Redis server for Celery and throttling, as `redis://…` or `unix://…`. Without it an embedded Redis "
        "is started."
    ),
    is_secret=True,
)
DEBUG = _servers.flag(
    "DEBUG",
    not DATABASE_URL,
    meaning=(
        "Django's debug mode, for this machine alone: with other hosts in `ALLOWED_HOSTS`, or another `HOST`, "
        "nothing starts."
    ),
    shown="true without `DATABASE_URL`",
)
SECRET_KEY = _servers.text(
    "SECRET_KEY",
    unit="text",
    meaning="The secret that signs sessions. Needed outside DEBUG, with at least 50 characters.",
    shown="in DEBUG: made once and kept in `DATA_DIR`",
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
ALLOWED_HOSTS = _servers.texts(
    "ALLOWED_HOSTS",
    ("localhost", "127.0.0.1", "[::1]") if DEBUG else (),
    unit="list",
    meaning="The host names under which the service may be called. Needed outside DEBUG.",
    used_by=(Used.WEB,),
    shown="in DEBUG: this machine",
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
    True,
    meaning="Whether browsers send the console's cookies over HTTPS alone. Read outside DEBUG.",
    used_by=(Used.WEB,),
)
CSRF_TRUSTED_ORIGINS = _servers.texts(
    "CSRF_TRUSTED_ORIGINS",
    unit="list",
    meaning=(
        "The origins, with their scheme, that the console's forms may be sent from, where a proxy changes it. "
        "Read outside DEBUG."
    ),
    used_by=(Used.WEB,),
)
HSTS_SECONDS = _servers.whole(
    "HSTS_SECONDS",
    31_536_000,
    unit="seconds",
    meaning=(
        "How long browsers use HTTPS alone for this host, once they were answered by HTTPS; 0 for no such header."
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
EMBEDDED_POSTGRES_OPTIONS = _servers.text(
    "EMBEDDED_POSTGRES_OPTIONS",
    unit="text",
    meaning="More options for the embedded PostgreSQL, such as `-c fsync=off`.",
)
