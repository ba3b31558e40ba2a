"""Metrics that are on for a test, and what they say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from audit.metrics import store
from config.metrics.collecting import ProcessesCollector

Series = tuple[str, frozenset[tuple[str, str]]]


class Counted:
    """What the processes of a directory have counted since this was made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(ProcessesCollector(directory))
        self._before = self.series()

    def series(self) -> dict[Series, float]:
        """All series that are served, with their values."""
        return series_of(generate_latest(self._registry).decode())

    def of(self, name: str, **labels: str) -> float:
        """How much a series has grown."""
        key = (name, frozenset(labels.items()))
        return self.series().get(key, 0.0) - self._before.get(key, 0.0)

    def changes(self, *prefixes: str) -> dict[str, float]:
        """By how much each series that has changed did, of those whose names begin so: ``name{label}``."""
        found = {key: value - self._before.get(key, 0.0) for key, value in self.series().items()}
        return {
            written(key): grown for key, grown in found.items() if grown and key[0].startswith(prefixes or "inventory_")
        }


def series_of(text: str) -> dict[Series, float]:
    """The series of an answer in Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def written(key: Series) -> str:
    """A series in short: its name, with the values of its labels."""
    values = ",".join(value for _, value in sorted(key[1]))
    return f"{key[0]}{{{values}}}" if values else key[0]


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    """Metrics that are on."""
    directory = tmp_path / "metrics"
    store.begin(directory)
    try:
        yield Counted(directory)
    finally:
        store.end()
