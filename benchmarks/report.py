"""The results as one page: medians with the least and the most, side by side."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import load
from benchmarks.cases import ALONE, CASES, COMBINED, PLAIN, RAW, Sample
from benchmarks.cluster import Cluster
from benchmarks.runner import Options, Results


def machine(cluster: Cluster, options: Options, arguments: list[str]) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "postgresql": cluster.version(),
        "load": load.generator(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python -m benchmarks", *arguments]),
        "repeats": options.repeats,
        "seconds": options.seconds,
    }


def rates(samples: list[Sample], case: str, contestant: str, connections: int, way: str = "") -> list[float]:
    """Requests a second of all repeats of a run."""
    wanted = (case, contestant, connections, way)
    return [s.load.per_second for s in samples if (s.case, s.contestant, s.connections, s.way) == wanted]


def limit(samples: list[Sample], case: str, connections: int) -> list[float]:
    """The rates of the best way of raw SQL, one transaction each."""
    ways = {s.way for s in samples if (s.case, s.contestant, s.connections) == (case, RAW, connections)} - {"batch"}
    return max((rates(samples, case, RAW, connections, way) for way in ways), key=median, default=[])


def spread(values: list[float]) -> str:
    """The median, and the least and the most where there are several."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:,.0f}"
    return f"{median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def ratio(values: list[float], base: list[float]) -> str:
    """How many times the one median is the other."""
    return f"{median(values) / median(base):.1f} ×" if values and base else "–"


def markdown(results: Results) -> str:
    """The whole page."""
    lines = ["| requests/s | raw SQL | plain Django + DRF | this, one by one | this, combined | ÷ raw | ÷ plain |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for case in CASES:
        counts = sorted({s.connections for s in results.samples if s.case == case.name and s.way != "batch"})
        for connections in counts:
            best = limit(results.samples, case.name, connections)
            base = limit(results.samples, case.name, 16) if case.raw and connections >= 16 else best
            plain, alone, combined = (
                rates(results.samples, case.name, name, connections) for name in (PLAIN, ALONE, COMBINED)
            )
            cells = [spread(best), spread(plain), spread(alone), spread(combined)]
            cells += [ratio(combined, base), ratio(combined, plain)]
            lines.append(f"| {case.title}, {connections} conn. | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(results: Results, folder: Path) -> None:
    """Renew the page and its chart."""
    (folder / "benchmark.md").write_text(markdown(results))
