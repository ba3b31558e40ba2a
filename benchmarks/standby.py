"""A synchronous standby of the measured PostgreSQL, on the same machine: commits wait until they are on its disk."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.cluster import BenchmarkFailed, Cluster, processes, stop
from config import embedded
from config.embedded.accounts import Account

OPTIONS: Final = "-c wal_level=replica -c max_wal_senders=4"
"""What a PostgreSQL needs to have a standby."""
_PORT: Final = "5433"
"""Part of the name of the standby's socket, which nobody uses: PostgreSQL doesn't start without one."""
_COPY_SECONDS: Final = 120.0
_JOIN_SECONDS: Final = 30.0
_ON: Final = ("ALTER SYSTEM SET synchronous_standby_names = '*'", "ALTER SYSTEM SET synchronous_commit = 'on'")
_OFF: Final = ("ALTER SYSTEM RESET synchronous_standby_names", "ALTER SYSTEM RESET synchronous_commit")
_IS_SYNCHRONOUS: Final = "SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"


@contextlib.contextmanager
def follow(cluster: Cluster) -> Iterator[None]:
    """Copy the cluster, and have the copy follow it. Within the block every commit waits for it."""
    programs = Path(f"/proc/{processes(cluster.data_dir)[1]}/exe").readlink().parent
    with cluster.connect(embedded.DATABASE) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    primary = Path(str(row[0] if row else ""))
    account, copy = Account.of_owner(primary), primary.with_name("standby")
    shutil.rmtree(copy, ignore_errors=True)
    account.own(copy)
    log = cluster.data_dir / "standby.log"
    with log.open("wb") as output:
        backup = [os.fspath(programs / "pg_basebackup"), "-h", os.fspath(cluster.sockets), "-U", embedded.USER]
        backup += ["-D", os.fspath(copy), "--write-recovery-conf", "--checkpoint", "fast", "--wal-method", "stream"]
        if account.spawn(backup, cwd=copy, output=output.fileno()).wait(_COPY_SECONDS):
            raise BenchmarkFailed(f"The standby could not be copied:\n{log.read_text(errors='replace')[-2000:]}")
        command = [os.fspath(programs / "postgres"), "-D", os.fspath(copy), "-c", "listen_addresses="]
        following = account.spawn(
            [*command, "-k", os.fspath(cluster.sockets), "-p", _PORT], cwd=copy, output=output.fileno()
        )
    try:
        with _waited_for(cluster, following, log):
            yield
    finally:
        stop(following)
        shutil.rmtree(copy, ignore_errors=True)


@contextlib.contextmanager
def _waited_for(cluster: Cluster, following: "subprocess.Popen[bytes]", log: Path) -> Iterator[None]:
    """Have commits wait for the standby, once it follows, until the end of the block."""
    try:
        _execute(cluster, _ON)
        deadline = time.monotonic() + _JOIN_SECONDS
        while not _is_synchronous(cluster):
            if time.monotonic() > deadline or following.poll() is not None:
                raise BenchmarkFailed(f"The standby does not follow:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        _execute(cluster, _OFF)


def _execute(cluster: Cluster, statements: tuple[str, ...]) -> None:
    with cluster.connect(embedded.DATABASE) as connection:
        for statement in (*statements, "SELECT pg_reload_conf()"):
            connection.execute(statement.encode())


def _is_synchronous(cluster: Cluster) -> bool:
    with cluster.connect(embedded.DATABASE) as connection:
        return connection.execute(_IS_SYNCHRONOUS).fetchone() is not None
