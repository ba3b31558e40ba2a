"""Processes that end with the one that started them, even if that is killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from audit.console.imports import workbooks
from config import orphans, serve
from tests.config.test_demo import eventually, parents, tree
from tests.config.test_serve import PATIENCE_SECONDS, REPOSITORY, WORKERS, Place, listeners

SOON_SECONDS: Final = 1.0


def ends_soon(happened: Callable[[], bool]) -> bool:
    """Whether it happens within a second of this program's own time; a loaded machine may take longer to run it."""
    deadline = time.monotonic() + 5 * SOON_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end_group(main: "subprocess.Popen[Any]") -> None:
    """Kill a process and what it has left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(main.pid, signal.SIGKILL)


def is_free(port: int) -> bool:
    """Whether another server could take the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.django_db
def test_web_workers_end_with_their_server_and_free_the_port() -> None:
    place = Place()
    main = place.start()
    try:
        assert eventually(lambda: len(listeners(place.port)) == WORKERS or main.poll() is not None)
        assert serve.is_ready(f"http://127.0.0.1:{place.port}")
        workers = tree(main.pid) - {main.pid}
        assert len(workers) >= WORKERS
        main.kill()
        main.wait(PATIENCE_SECONDS)
        assert ends_soon(lambda: not workers & parents().keys())
        assert ends_soon(lambda: is_free(place.port))
    finally:
        end_group(main)
        main.communicate()


@pytest.mark.django_db
def test_a_celery_workers_processes_end_with_it() -> None:
    command = ["celery", "--quiet", "-A", "config", "worker", "--concurrency", "2", "--queues", "nobody-sends-here"]
    place = Place()
    main = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=REPOSITORY, env=place.environment, start_new_session=True
    )
    try:
        assert eventually(lambda: len(tree(main.pid)) == 3 or main.poll() is not None)
        children = tree(main.pid) - {main.pid}
        assert len(children) == 2
        time.sleep(0.2)  # They are forked, and then set up.
        main.kill()
        main.wait(PATIENCE_SECONDS)
        assert ends_soon(lambda: not children & parents().keys())
    finally:
        end_group(main)
        main.wait()


def test_the_reader_of_workbooks_ends_with_the_process_that_started_it() -> None:
    program = f"""
        import subprocess, sys, os
        reader = subprocess.Popen([*{workbooks.command(1)[:-1]!r}, str(os.getpid())], stdin=0)
        print(reader.pid, flush=True)
        reader.wait()
    """
    # Its input stays open here: the end of that is not what ends it.
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    reader = int(parent.stdout.readline())
    assert reader in parents()
    parent.kill()
    parent.wait()
    try:
        assert ends_soon(lambda: reader not in parents())
    finally:
        for pipe in (parent.stdin, parent.stdout):
            assert pipe is not None
            pipe.close()


def test_where_the_kernel_sends_no_signal_a_thread_watches() -> None:
    program = """
        import os, signal, time
        from config import orphans
        if not os.fork():
            orphans.watch(signal.SIGKILL, os.getppid())
            print(os.getpid(), flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert child in parents()
        parent.kill()
        assert ends_soon(lambda: child not in parents())


def test_who_has_lost_its_parent_already_ends_at_once() -> None:
    child = os.fork()
    if child == 0:
        orphans.die_with_parent(signal.SIGKILL, parent=1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
