"""Reading of what all processes of this machine have counted, those that have ended included.

The numbers of ended processes are moved into one file, ``ended.json``, so that there are never more files than
processes. That file also names the processes whose numbers it has, so that a crash between its writing and the removal
of their files counts nothing twice. To be called by one process at a time: the one that serves the metrics.
"""

import fcntl
import json
import os
import struct
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client.mmap_dict import MmapedDict

from audit.metrics import store
from audit.metrics.kinds import Labels

logger = structlog.get_logger(__name__)
ENDED: Final = "ended.json"
_SPOILED: Final = (RuntimeError, struct.error, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a number belongs to: a metric's name, the name of the series (such as ``…_bucket``), and its labels."""

    metric: str
    series: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LivingProcess:
    """A process that lives. ``started`` is ``store.start_ticks`` of its pid, which tells it from a later one."""

    pid: int
    role: str
    started: int | None


@dataclass(slots=True)
class Reading:
    """The sums over all processes, by the keys that ``sample_of`` reads; and the processes that live."""

    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    living: list[LivingProcess] = field(default_factory=list)


@lru_cache(50_000)
def sample_of(key: str) -> Sample:
    """The sample that a key of the library's files stands for."""
    metric, series, labels, _help = json.loads(key)
    return Sample(metric, series, labels)


def read(directory: Path) -> Reading:
    """Read the numbers of all processes, and move those of ended ones into their file."""
    reading = Reading()
    ended, moved = _read_ended(directory)
    files = _files_by_process(directory)
    dead: dict[str, list[Path]] = {}
    for id_, paths in files.items():
        living = _living(directory, id_)
        if living is None:
            dead[id_] = paths
            continue
        reading.living.append(living)
        for path in paths:
            _add(path, reading.sums)
    _move(directory, dead, ended, moved)
    for key, value in ended.items():
        reading.sums[key] += value
    return reading


def _move(directory: Path, dead: Mapping[str, list[Path]], ended: dict[str, float], moved: Collection[str]) -> None:
    """Add the numbers of processes that have ended to ``ended``, but for those that were moved before, and store them.

    If that fails, as on a full disk, their files stay, and are read again the next time.
    """
    left = dead.keys() - set(moved)
    for id_ in left:
        for path in dead[id_]:
            if not path.name.startswith("gauge_"):
                _add(path, ended)
    try:
        if left or set(moved) - dead.keys():
            _write_ended(directory, ended, dead.keys())
        for id_, paths in dead.items():
            _remove([*paths, directory / f"{id_}.{store.ALIVE}"])
    except OSError as error:
        logger.warning("metrics_not_moved", directory=os.fspath(directory), error=str(error))


def labels_of(sample: Sample, names: Labels) -> Labels | None:
    """The values of these labels; None if the sample has others: an earlier version may have counted it."""
    if sample.labels.keys() - {"le"} != set(names):
        return None
    return tuple(sample.labels[name] for name in names)


def _files_by_process(directory: Path) -> dict[str, list[Path]]:
    """The files with numbers, by the id of their process; a process that has none yet is there, too."""
    files: dict[str, list[Path]] = {}
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        stem, _, suffix = name.rpartition(".")
        if suffix == store.ALIVE:
            files.setdefault(stem, [])
        elif suffix == "db":
            files.setdefault(stem.rpartition("_")[2], []).append(directory / name)
    return files


def _living(directory: Path, id_: str) -> LivingProcess | None:
    """The process of this id, if it lives."""
    path = directory / f"{id_}.{store.ALIVE}"
    try:
        facts: dict[str, Any]
        if id_ == store.own_id():
            # Opening and closing this process's own file would release its lock.
            return LivingProcess(os.getpid(), store.own_role(), store.start_ticks(os.getpid()))
        with path.open("r+", encoding="ascii") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                facts = json.load(file)
                return LivingProcess(facts["pid"], facts["role"], facts["started"])
    except FileNotFoundError:
        return None
    except _SPOILED:
        return LivingProcess(0, "command", None)  # It lives, and is just writing what it is.
    return None


def _add(path: Path, sums: dict[str, float]) -> None:
    """Add the numbers of a file. One that can't be read is left out: a machine that lost power may leave it."""
    try:
        values = [(key, value) for key, value, _, _ in MmapedDict.read_all_values_from_file(os.fspath(path))]
        for key, _ in values:
            sample_of(key)
    except FileNotFoundError:
        return
    except _SPOILED as error:
        if path.stat().st_size:
            logger.warning("metrics_file_spoiled", file=path.name, error=repr(error))
        return
    for key, value in values:
        sums[key] += value


def _read_ended(directory: Path) -> tuple[dict[str, float], set[str]]:
    """The numbers of ended processes, and the ids of those whose files may still be there."""
    sums: dict[str, float] = defaultdict(float)
    try:
        content = json.loads((directory / ENDED).read_bytes())
        for key, value in content["sums"].items():
            sample_of(key)
            sums[key] = float(value)
        return sums, set(content["moved"])
    except FileNotFoundError:
        pass
    except (*_SPOILED, AttributeError) as error:
        logger.warning("metrics_file_spoiled", file=ENDED, error=repr(error))
        sums.clear()
    return sums, set()


def _write_ended(directory: Path, sums: Mapping[str, float], moved: Collection[str]) -> None:
    draft = directory / f"{ENDED}.draft"
    draft.write_text(json.dumps({"sums": sums, "moved": sorted(moved)}), encoding="ascii")
    draft.replace(directory / ENDED)


def _remove(paths: Collection[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
