"""Health probes: liveness and readiness. Routed by ``middleware.RequestContextMiddleware``."""

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

_migrated = False


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 if the database answers and all migrations are applied, else 503 with the reason."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        checks = {"database": "ok", "migrations": "ok" if _is_migrated() else "pending"}
    except Error:
        checks = {"database": "away"}
    ok = set(checks.values()) == {"ok"}
    return JsonResponse({"status": "ok" if ok else "unavailable", "checks": checks}, status=200 if ok else 503)


def _is_migrated() -> bool:
    """Whether all migrations of this code are applied. Once they are, the database isn't queried any more."""
    global _migrated  # noqa: PLW0603 - once applied, always applied
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated
