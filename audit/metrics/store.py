"""Where this process keeps its numbers: files of its own in ``METRICS_DIR``, which outlive it.

Each process, a fork too, has an id that no other one ever has:

    <id>.alive                      {"pid", "role", "started"}, locked by the process for as long as it lives
    counter_<id>.db, histogram_<id>.db, gauge_livesum_<id>.db       the memory-mapped files of prometheus_client

The library names files by pid, which another process may get later, or has at the same time in another container; two
writers of a file destroy it. And whether a process lives is certain by its lock, not by its pid.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from audit.metrics import definitions
from audit.metrics.kinds import Histogram, Labels, MakeCell, Metric, ProcessGauge, all_metrics

logger = structlog.get_logger(__name__)
DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for the folder, at its first file."""
ALIVE: Final = "alive"
LIVING: Final = "livesum"
"""The library's mode for gauges that are added up over the processes that live."""


class _State:
    """What this process is: its id, once it has counted anything, and the open file that says that it lives."""

    directory: Path | None = None
    role: str = "command"
    id: str | None = None
    alive: Any = None
    files: Any = None
    """The library's class of numbers, which has the open files."""
    serve: Callable[[], None] | None = None


def begin(directory: Path, role: str | None = None) -> None:
    """Count in files of this directory from now on, which is made if need be.

    Metrics must not stop the service: if the directory can't be written, they stay off, and the log says why.
    """
    import prometheus_client  # noqa: PLC0415 - takes memory, and isn't used where metrics are off
    from prometheus_client import values  # noqa: PLC0415

    from audit.metrics.files import AllocatedDict  # noqa: PLC0415

    end()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ[DIRECTORY_VARIABLE] = os.fspath(directory)
        _State.directory, _State.role = directory, role or _State.role
        # The library decides at its import, by the environment, whether to share; another package may have imported it.
        values.MmapedDict = AllocatedDict  # type: ignore[attr-defined]
        values.ValueClass = _State.files = values.MultiProcessValue(identity)
        for metric in counted_metrics():
            metric.attach(_maker(metric, prometheus_client))
    except OSError as error:
        logger.error("metrics_not_kept", directory=os.fspath(directory), error=str(error))  # noqa: TRY400
        end()


def end() -> None:
    """Count nothing more. What was counted stays in its files, as that of a process that has ended."""
    for metric in counted_metrics():
        metric.attach(None)
    if _State.files is not None:
        _State.files.close_all_files()
    _State.directory = _State.files = None
    _forget()


def is_begun() -> bool:
    """Whether this process keeps its numbers."""
    return _State.directory is not None


def set_role(role: str) -> None:
    """Set what kind of process this is, at its start: ``web``, ``worker``, ``sweeper``, …"""
    _State.role = role
    if _State.alive is not None:
        try:
            _write_facts(_State.alive)
        except OSError as error:  # A full disk: the role is missing from the metrics alone.
            logger.warning("metrics_role_not_written", role=role, error=str(error))


def when_program_begins(serve: Callable[[], None]) -> None:
    """Set the function that serves the metrics in a program. Called by ``config.metrics``."""
    _State.serve = serve


def begin_program(role: str) -> None:
    """Set the role of a program that runs until it is stopped, and serve the metrics in it if they are on."""
    set_role(role)
    if _State.serve is not None and is_begun():
        _State.serve()


def own_id() -> str | None:
    """The id of this process; None if it has counted nothing yet."""
    return _State.id


def own_role() -> str:
    """What kind of process this is."""
    return _State.role


def identity() -> str:
    """The id of this process, by which its files are named. The first call makes it, and says that the process lives.

    Raises OSError if that can't be written.
    """
    if _State.id is None:
        assert _State.directory is not None  # noqa: S101 - nothing counts before ``begin``
        id_ = uuid.uuid4().hex
        draft = _State.directory / f"{id_}.draft"
        alive = draft.open("w", encoding="ascii")
        _write_facts(alive)
        fcntl.lockf(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(draft.with_suffix(f".{ALIVE}"))  # Locked before anybody can see it.
        _State.id, _State.alive = id_, alive
    return _State.id


def start_ticks(pid: int) -> int | None:
    """When the kernel started a process, in its ticks; None if there is none of that pid, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[19])


def counted_metrics() -> list[Metric]:
    """The metrics that processes count."""
    return [metric for metric in all_metrics(definitions) if metric.is_counted]


def _write_facts(alive: Any) -> None:
    pid = os.getpid()
    alive.seek(0)
    alive.truncate()
    json.dump({"pid": pid, "role": _State.role, "started": start_ticks(pid)}, alive)
    alive.flush()


def _maker(metric: Metric, library: Any) -> MakeCell:
    """The function that makes the metric's cells in the files of this process."""
    # Without the help, which would be repeated in the file with each number.
    if isinstance(metric, Histogram):
        kept = library.Histogram(metric.name, "", metric.labels, registry=None, buckets=metric.buckets)
    elif isinstance(metric, ProcessGauge):
        kept = library.Gauge(metric.name, "", metric.labels, registry=None, multiprocess_mode=LIVING)
    else:
        kept = library.Counter(metric.name, "", metric.labels, registry=None)

    def make(labels: Labels) -> Any:
        return kept.labels(*labels) if labels else kept

    return make


def _forget() -> None:
    """Give up this process's id and its file: in a fork they are the parent's."""
    _State.id, alive, _State.alive = None, _State.alive, None
    if alive is not None:
        alive.close()


os.register_at_fork(after_in_child=_forget)
