"""How many connections an address may keep open to a process, with real sockets of this one."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.conf import LazySettings
from structlog.testing import capture_logs

from config import connections
from config.connections import Guard

ONE, OTHER = "127.0.0.77", "127.0.0.78"


class Server:
    """Listens, and accepts what it opens to itself."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def open(self, address: str, number: int) -> list[socket.socket]:
        """Callers at this address; the server's ends stay open, too."""
        callers = []
        for _ in range(number):
            own = socket.create_connection(self._listener.getsockname(), source_address=(address, 0), timeout=5)
            callers.append(self._stack.enter_context(own))
            self._stack.enter_context(self._listener.accept()[0])
        return callers


@pytest.fixture
def server() -> Iterator[Server]:
    with ExitStack() as stack:
        yield Server(stack)


def is_open(caller: socket.socket) -> bool:
    caller.setblocking(False)
    try:
        return caller.recv(1) != b""
    except BlockingIOError:
        return True


def test_newest_connections_of_an_address_that_has_too_many_are_shut_down(server: Server) -> None:
    guard = Guard(5, 100_000)
    first, others = server.open(ONE, 4), server.open(OTHER, 5)
    guard.look()
    assert all(map(is_open, first + others))
    more = server.open(ONE, 3)
    guard.look()
    assert [is_open(caller) for caller in first + more] == [True] * 5 + [False] * 2
    assert all(map(is_open, others))


def test_connections_to_other_servers_are_left_alone(server: Server) -> None:
    """Such as those to the database: this process doesn't listen on the port of its end."""
    with socket.create_server(("127.0.0.1", 0)) as far, ExitStack() as stack:
        own = [stack.enter_context(socket.create_connection(far.getsockname(), timeout=5)) for _ in range(9)]
        found = connections._sockets([each.fileno() for each in own])[1]
        assert found == {}
    [caller] = server.open(ONE, 1)
    assert connections._sockets([caller.fileno()])[1] == {}


def peers(*numbers: int) -> list[connections.Peer]:
    """So many connections of each address."""
    return [(f"10.0.0.{host}", port) for host, number in enumerate(numbers) for port in range(number)]


def kept(guard: Guard, *numbers: int) -> list[int]:
    """How many connections of each address stay."""
    gone = guard._excess(peers(*numbers))
    return [number - sum(peer[0] == f"10.0.0.{host}" for peer in gone) for host, number in enumerate(numbers)]


def test_where_all_have_too_many_those_lose_who_have_most() -> None:
    assert kept(Guard(256, 3000), 300, 200, 1) == [256, 200, 1]
    few = kept(Guard(256, 1000), 256, 256, 256, 256, 256, 256, 20, 1)
    assert sum(few) <= 1000
    assert min(few[:6]) > 100
    assert few[6:] == [20, 1]


def test_ipv6_counts_by_the_network_of_a_customer() -> None:
    of_one = [(f"2001:db8::{number:x}", 1) for number in range(20)]
    assert len(Guard(5, 100)._excess([*of_one, ("2001:db8:0:1::1", 1)])) == 15


def test_process_may_open_as_many_files_as_the_machine_lets_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
        room = connections.make_room()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == min(hard, 4608)
        assert room == max(128, min(4096, soft - 512))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("proxies", "per_address"), [(1, 256), (0, 0)])
def test_nothing_is_shut_down_behind_a_proxy_or_without_a_limit(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, proxies: int, per_address: int
) -> None:
    settings.TRUSTED_PROXIES, settings.CONNECTIONS_PER_ADDRESS = proxies, per_address
    monkeypatch.setattr(connections, "Guard", None)  # Making one would fail.
    connections.watch()


def test_error_that_stays_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([OSError, OSError, OSError, SystemExit])

    class Failing:
        def look(self) -> None:
            raise next(looks)

    monkeypatch.setattr(connections, "_LOOK_EVERY_SECONDS", 0)
    with capture_logs() as logs, pytest.raises(SystemExit):
        connections._look_on(Failing())  # type: ignore[arg-type]
    assert [line["event"] for line in logs] == ["connections_not_looked_at"]
