"""The metrics of processes, collected when they are asked for: sums over all, and the resources of each living one."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, product
from pathlib import Path
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from audit.metrics import kinds, reading, store
from audit.metrics.kinds import Labels
from audit.metrics.reading import LivingProcess, Sample

_MARKUP: Final = re.compile(r"`|\[([^]]*)\]\([^)]*\)")
_PROCESS_LABELS: Final = ("role", "pid")

Values = dict[Labels, float]


class ProcessesCollector(Collector):
    """Collects what all processes of this machine have counted. For one caller at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """The metrics, each with all of its series."""
        found = reading.read(self._directory)
        samples: dict[str, list[tuple[Sample, float]]] = defaultdict(list)
        for key, value in found.sums.items():
            sample = reading.sample_of(key)
            samples[sample.metric].append((sample, value))
        for metric in store.counted_metrics():
            yield _family(metric, samples[metric.name.removesuffix("_total")])
        yield from _of_processes(found.living)


def described(metric: kinds.Metric) -> str:
    """The help of a metric, without the markup of the page that is made of it."""
    return _MARKUP.sub(r"\1", metric.help)


def _family(metric: kinds.Metric, samples: Iterable[tuple[Sample, float]]) -> Metric:
    if isinstance(metric, kinds.Histogram):
        return _histogram(metric, samples)
    make = CounterMetricFamily if isinstance(metric, kinds.Counter) else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = make(metric.name, described(metric), labels=metric.labels)
    values = dict.fromkeys(_known(metric), 0.0)
    for sample, value in samples:
        labels = reading.labels_of(sample, metric.labels)
        if labels is not None:
            values[labels] = values.get(labels, 0.0) + value
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(metric: kinds.Histogram, samples: Iterable[tuple[Sample, float]]) -> HistogramMetricFamily:
    """The family of a histogram, whose buckets the files have one by one and Prometheus wants added up."""
    bounds = (*metric.buckets, float("inf"))
    counts: dict[Labels, list[float]] = {labels: [0.0] * len(bounds) for labels in _known(metric)}
    sums: dict[Labels, float] = defaultdict(float)
    for sample, value in samples:
        labels = reading.labels_of(sample, metric.labels)
        if labels is None:
            continue
        if "le" not in sample.labels:
            sums[labels] += value
            continue
        bound = float(sample.labels["le"])
        # An earlier version may have had other buckets: its observations are in the next larger one.
        place = next(index for index, own in enumerate(bounds) if bound <= own)
        counts.setdefault(labels, [0.0] * len(bounds))[place] += value
    family = HistogramMetricFamily(metric.name, described(metric), labels=metric.labels)
    names = [floatToGoString(bound) for bound in bounds]
    for labels, found in sorted(counts.items()):
        family.add_metric(labels, list(zip(names, accumulate(found), strict=True)), sums[labels])
    return family


def _known(metric: kinds.Metric) -> Iterator[Labels]:
    """The labels of series that are served from the start: all of them, where the values of all labels are known."""
    if all(label in metric.values for label in metric.labels):
        yield from product(*(metric.values[label] for label in metric.labels))


def _of_processes(living: Iterable[LivingProcess]) -> Iterator[Metric]:
    """The standard metrics of each living process, as /proc has them."""
    families: dict[str, Metric] = {}
    for process in living:
        # In another container the pid would be that of another process.
        if process.started is None or store.start_ticks(process.pid) != process.started:
            continue
        labels = dict(zip(_PROCESS_LABELS, (process.role, str(process.pid)), strict=True))
        for family in ProcessCollector(pid=lambda pid=process.pid: pid, registry=None).collect():  # type: ignore[misc]
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                known.add_sample(sample.name, labels, sample.value)
    yield from families.values()
