"""The addresses of PostgreSQL, Redis and Kafka, whether given as URLs or in parts."""

from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import environ

POSTGRES_PORT: Final = 5432
REDIS_PORT: Final = 6379


def database_url(*, host: str, port: int, name: str, user: str, password: str) -> str:
    """The URL of a database; each part may have any characters."""
    where = quote(host, safe="") if host.startswith("/") else _bracketed(host)
    return f"postgres://{_login(user, password)}{where}:{port}/{quote(name, safe='')}"


def redis_url(*, host: str, port: int, password: str) -> str:
    """The URL of a Redis server's first database."""
    return f"redis://{_login('', password)}{_bracketed(host)}:{port}/0"


def database_parts(url: str) -> dict[str, Any]:
    """Django's settings of a database's URL: NAME, USER, PASSWORD, HOST, PORT, ENGINE and OPTIONS."""
    parts: dict[str, Any] = environ.Env.db_url_config(url)
    # The folder of a Unix socket is percent-encoded in libpq's URLs.
    parts["HOST"] = unquote(parts["HOST"])
    return parts


def of_database(url: str) -> dict[str, str]:
    """The values of the variables ``DB_…`` that mean the same as a database's URL."""
    parts = database_parts(url)
    return {
        "DB_HOST": str(parts["HOST"]).strip("[]"),
        "DB_PORT": str(parts["PORT"] or POSTGRES_PORT),
        "DB_NAME": str(parts["NAME"]),
        "DB_USER": str(parts["USER"]),
        "DB_PASSWORD": str(parts["PASSWORD"]),
    }


def of_redis(url: str) -> dict[str, str]:
    """The values of the variables ``REDIS_…`` that mean the same as a Redis server's URL."""
    parts = urlsplit(url)
    return {
        "REDIS_HOST": parts.hostname or "",
        "REDIS_PORT": str(parts.port or REDIS_PORT),
        "REDIS_PASSWORD": unquote(parts.password or ""),
    }


def _login(user: str, password: str) -> str:
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{quote(user, safe='')}{secret}@" if user or secret else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
