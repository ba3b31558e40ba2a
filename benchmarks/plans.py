"""`python -m benchmarks.plans PATH AUTHORIZATION`: request a GET route once and explain its slowest statements."""

import json
import sys
from typing import Any, Final

import django

_STATEMENTS: Final = 2
_DEEPEST: Final = 4


def top_nodes(node: dict[str, Any], depth: int = 0) -> list[str]:
    """The upper part of a plan, one line per node, with its milliseconds to the last row and its rows per loop."""
    on = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    figures = f"{node['Actual Total Time']:.1f} ms, {node['Actual Rows']:,.0f} rows"
    loops = f" × {node['Actual Loops']}" if node["Actual Loops"] != 1 else ""
    below = [line for child in node.get("Plans", ()) for line in top_nodes(child, depth + 1)]
    return [f"{'  ' * depth}{node['Node Type']}{on} ({figures}{loops})", *(below if depth + 1 < _DEEPEST else ())]


def main() -> None:
    """Print the answer and the plans, the slowest first."""
    django.setup()
    from django.db import connection  # noqa: PLC0415 - needs the settings
    from django.test import Client  # noqa: PLC0415

    path, authorization = sys.argv[1:]
    client = Client(headers={"Authorization": authorization, "Host": "127.0.0.1"})
    asked: list[tuple[Any, Any]] = []

    def note(execute: Any, sql: Any, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        answer = client.get(path)
    explained = []
    with connection.cursor() as cursor:
        for sql, parameters in asked:
            if sql.lstrip().startswith(("SELECT", "WITH")):
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
                explained.append(cursor.fetchone()[0][0])
    explained.sort(key=lambda plan: -plan["Execution Time"])
    plans = [top_nodes(plan["Plan"]) for plan in explained[:_STATEMENTS]]
    sys.stdout.write(json.dumps({"status": answer.status_code, "answer": answer.json(), "plans": plans}) + "\n")


if __name__ == "__main__":
    main()
