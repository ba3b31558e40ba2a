"""Indexes that migrations make while the service writes."""

from typing import Any

from django.contrib.postgres import operations


class AddIndexConcurrently(operations.AddIndexConcurrently):
    """Django's operation, for a migration that can be run again after it failed half way.

    PostgreSQL keeps the index of a ``CREATE INDEX CONCURRENTLY`` that failed, without using it, and those of the
    operations before are there. Django would fail at their names then, however often the migration is run again.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._ensure_not_in_transaction(schema_editor)
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
