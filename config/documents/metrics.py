"""The page of metrics, generated from ``audit.metrics.definitions``: each with its kind, labels and meaning."""

from collections.abc import Iterator, Sequence
from typing import Final

from audit.metrics import definitions
from audit.metrics.kinds import DatabaseGauge, Histogram, Metric, ProcessGauge, all_metrics

PAGE: Final = "docs/reference/metrics.md"
_HEAD: Final = """# Metrics

What `GET /metrics` serves on `METRICS_PORT`. [Monitoring](../guides/monitor.md) says how to collect it and what to look
at.

This page is generated from `audit/metrics/definitions.py`: `make fmt` writes it, `make check` fails if they differ.

A label has few values, and none that a caller chooses. A label whose values are listed here has no others, and each of
them is served from the start, with 0.
"""
_COUNTED: Final = """
## Counted by the service

The sum over all processes that share `METRICS_DIR`, ended ones included. The effects of a transaction are counted when
it is committed, and only once if it was retried. A gauge is the sum over the processes that run.
"""
_PROCESSES: Final = """
## Of each process

`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
`process_max_fds` and `process_start_time_seconds`, as other programs have them, with two labels: `pid`, and `role`,
which is `web`, `worker`, `sweeper`, `beat`, `relay`, `consumer` or `command`.
"""
_READ: Final = """
## Read from the database

Read when Prometheus asks for them, at most once in `METRICS_INTERVAL_SECONDS` on each machine. Each machine serves the
same numbers: take the maximum over machines, never the sum.
"""


def page() -> str:
    """The page's text."""
    metrics = all_metrics(definitions)
    counted = [metric for metric in metrics if not isinstance(metric, DatabaseGauge)]
    read = [metric for metric in metrics if isinstance(metric, DatabaseGauge)]
    lines = [_HEAD + _COUNTED, *_table(counted), _PROCESSES + _READ, *_table(read), *_buckets(counted)]
    return "\n".join(lines) + "\n"


def _table(metrics: Sequence[Metric]) -> Iterator[str]:
    yield "| metric | kind | labels | is |"
    yield "| --- | --- | --- | --- |"
    for metric in metrics:
        labels = "; ".join(_label(metric, label) for label in metric.labels)
        yield f"| `{metric.name}` | {_kind(metric)} | {labels} | {metric.help} |"


def _kind(metric: Metric) -> str:
    return f"{metric.kind}, of running processes" if isinstance(metric, ProcessGauge) else metric.kind


def _label(metric: Metric, label: str) -> str:
    values = ", ".join(f"`{value}`" for value in metric.values.get(label, ()))
    return f"`{label}`: {values}" if values else f"`{label}`"


def _buckets(metrics: Sequence[Metric]) -> Iterator[str]:
    """The upper bounds of the histograms."""
    yield "\n## Buckets\n"
    yield "| metric | upper bounds |"
    yield "| --- | --- |"
    for metric in metrics:
        if isinstance(metric, Histogram):
            yield f"| `{metric.name}` | {', '.join(f'{bound:g}' for bound in metric.buckets)} |"
