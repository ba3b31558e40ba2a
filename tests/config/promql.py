"""Reads the rules of deploy/prometheus and the selectors of PromQL, and compares them with the service's metrics."""

import json
import re
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from django.conf import settings

from audit.metrics import definitions
from audit.metrics.kinds import Histogram, Metric, all_metrics

FOLDER: Final[Path] = settings.BASE_DIR / "deploy/prometheus"
METRICS: Final = {metric.name: metric for metric in all_metrics(definitions)}
_SUFFIXES: Final = ("_bucket", "_sum", "_count")
_FROM_PROMETHEUS: Final = {"job", "instance"}
"""Labels that the scrape configuration adds."""

_OF_PROCESSES: Final = frozenset({"pid", "role"})
_OTHERS: Final = {
    "process_cpu_seconds_total": _OF_PROCESSES,
    "process_max_fds": _OF_PROCESSES,
    "process_open_fds": _OF_PROCESSES,
    "process_resident_memory_bytes": _OF_PROCESSES,
    "process_start_time_seconds": _OF_PROCESSES,
    "up": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
}
"""Metrics that each process serves, and those of Prometheus itself, with their labels."""

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_SELECTOR: Final = re.compile(
    rf"(?<![\w:$\"])([A-Za-z_][\w:]*+)\s*+(?:\{{((?:[^{{}}\"]|{_STRING})*)\}})?(?!\()", re.ASCII
)
_MATCHER: Final = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORDS: Final = {"and", "or", "unless", "bool", "offset", "sum", "max", "min", "avg", "count", "topk"}


def documents(folder: str) -> Iterator[dict[str, Any]]:
    """The files of ``rules`` or ``tests``, in order."""
    for path in sorted((FOLDER / folder).glob("*.yml")):
        yield yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def rules() -> list[dict[str, Any]]:
    """All rules, in the order of the files."""
    return [rule for document in documents("rules") for group in document["groups"] for rule in group["rules"]]


class Selector(NamedTuple):
    """A metric in an expression, with its matchers: label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    @property
    def metric(self) -> str:
        """The metric's own name: that of a histogram, where one of its series is selected."""
        return re.sub(r"_(bucket|sum|count)$", "", self.name)

    def faults(self, recorded: Set[str]) -> Iterator[str]:
        """What the service, its scrape configuration and recording rules don't have."""
        if ":" in self.name:
            if self.name not in recorded:
                yield "no rule records it"
            return
        if self.name in _OTHERS:
            known = _OTHERS[self.name] | _FROM_PROMETHEUS
            yield from (f"no label {label}" for label, _, _ in self.matchers if label not in known)
            return
        metric = self._metric()
        if metric is None:
            yield "the service has no such metric"
            return
        for label, operator, value in self.matchers:
            yield from self._faults_of(metric, label, value.split("|") if "~" in operator else [value])

    def _metric(self) -> Metric | None:
        metric = METRICS.get(self.name)
        if metric is not None:
            return None if isinstance(metric, Histogram) else metric
        for suffix in _SUFFIXES:
            metric = METRICS.get(self.name.removesuffix(suffix))
            if self.name.endswith(suffix) and isinstance(metric, Histogram):
                return metric
        return None

    def _faults_of(self, metric: Metric, label: str, values: list[str]) -> Iterator[str]:
        if label == "le" and isinstance(metric, Histogram) and self.name.endswith("_bucket"):
            bounds = {str(bound) for bound in metric.buckets}
            if not any(value in bounds or re.fullmatch(value, bound) for value in values for bound in bounds):
                yield f"no bucket {values}"
        elif label in metric.labels:
            known = metric.values.get(label)
            if known is not None:
                yield from (f"no {label} {value}" for value in values if value not in known)
        elif label not in _FROM_PROMETHEUS:
            yield f"no label {label}"


def selectors(expression: str) -> list[Selector]:
    """The selectors of an expression, in its order."""
    bare = _GROUPING.sub(" ", re.sub(r"\[[^\]]*\]", " ", expression))
    return [
        Selector(
            found[1], tuple((label, sign, json.loads(value)) for label, sign, value in _MATCHER.findall(found[2] or ""))
        )
        for found in _SELECTOR.finditer(bare)
        if found[1] not in _WORDS
    ]
