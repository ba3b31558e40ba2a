"""The connection to PostgreSQL, made of DATABASE_URL."""

from collections.abc import Mapping
from typing import Any, Final

_ENGINES: Final = {"django.db.backends.postgresql": "audit.db.postgresql"}


def configuration(
    url: Mapping[str, Any], *, pool_size: int, prepared_statements: bool, patience_seconds: float
) -> dict[str, Any]:
    """The entry of DATABASES for a parsed URL. What the URL's query says, such as ``connect_timeout``, stays.

    With a ``pool_size`` the threads share that many connections, else each keeps its own.
    """
    options: dict[str, Any] = {
        # Parameters are bound by the server, so that a statement's text is constant and can be prepared.
        "server_side_binding": True,
        "prepare_threshold": 3 if prepared_statements else None,
        **_bounds(patience_seconds),
        **url.get("OPTIONS", {}),
    }
    if pool_size:
        options["pool"] = {"max_size": pool_size, "timeout": patience_seconds}
    return {
        **url,
        "ENGINE": _ENGINES.get(url["ENGINE"], url["ENGINE"]),
        "CONN_HEALTH_CHECKS": False,
        "CONN_MAX_AGE": 0 if pool_size else None,  # A pooled connection is given back after each request.
        "OPTIONS": options,
    }


def _bounds(patience_seconds: float) -> dict[str, Any]:
    """How soon a server that went silent is given up: in half the time that a request may take, so that the rest is
    left for another connection.

    The kernel keeps the time, and sends nothing while the server answers. Whole seconds, ``tcp_user_timeout`` in
    milliseconds.
    """
    half = max(2.0, patience_seconds / 2)
    return {
        "connect_timeout": max(2, int(patience_seconds * 0.3)),
        "tcp_user_timeout": int(half * 1000),
        "keepalives": 1,
        "keepalives_idle": max(1, int(half / 2)),
        "keepalives_interval": 1,
        "keepalives_count": max(1, int(half / 2)),
    }
