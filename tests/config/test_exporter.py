"""The server of metrics: what it answers, who serves, and the gauges of the database."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from pytest_django import Settings
from structlog.testing import capture_logs

from audit import heartbeats
from audit.metrics import definitions
from audit.metrics.definitions import RESERVATION_CREATED
from audit.metrics.kinds import DatabaseGauge, all_metrics
from config.metrics import figures
from config.metrics.collecting import ProcessesCollector, described
from config.metrics.exporter import Exporter
from config.metrics.figures import DatabaseCollector, Rarely
from tests.factories import hold, make_due, make_level, receive
from tests.metrics import Counted, counted, series_of

__all__ = ["counted"]

PATIENCE_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def serve(directory: Path, port: int, *collectors: Any) -> Exporter:
    registry = CollectorRegistry(auto_describe=False)
    for collector in (ProcessesCollector(directory), *collectors):
        registry.register(collector)
    exporter = Exporter(registry, directory, "127.0.0.1", port)
    threading.Thread(target=exporter.run, daemon=True).start()
    return exporter


def ask(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    asked = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    asked.request(method, path, headers=headers)
    answer = asked.getresponse()
    body = answer.read().decode()
    asked.close()
    return answer, body


def answers(port: int) -> bool:
    try:
        return ask(port)[0].status == 200
    except OSError:
        return False


@pytest.fixture
def port(counted: Counted) -> Iterator[int]:
    """The port of an exporter."""
    port = free_port()
    exporter = serve(counted.directory, port)
    assert eventually(lambda: answers(port))
    yield port
    exporter.stop()


def test_metrics_are_answered_in_both_formats(port: int) -> None:
    RESERVATION_CREATED.add(3)
    answer, body = ask(port)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert series_of(body)["inventory_reservation_created_total", frozenset()] == 3
    answer, body = ask(port, Accept="application/openmetrics-text; version=1.0.0, text/plain;q=0.5")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(body)}
    assert families["inventory_reservation_created"].samples[0].value == 3
    assert families["inventory_expiry_delay_seconds"].type == "histogram"
    assert "Python" not in answer.headers["Server"]
    head, nothing = ask(port, method="HEAD")
    assert (head.status, nothing) == (200, "")
    assert int(head.headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/Metrics", 404),
        ("HEAD", "/health/live", 404),
        ("GET", "/metrics?name[]=x", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
        ("OPTIONS", "*", 405),
        ("FOO", "/", 405),
        ("GET", "/" + "x" * 70_000, 414),
    ],
)
def test_nothing_but_metrics_is_served(port: int, method: str, path: str, status: int) -> None:
    answer, body = ask(port, path, method)
    assert answer.status == status
    if status != 200:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "<" not in body
        assert (answer.headers["Allow"] is not None) == (status == 405)


def test_callers_that_say_nothing_do_not_keep_others_out(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
    assert answers(port)
    for one in silent:
        one.close()
    assert eventually(lambda: answers(port))


def test_one_process_serves_and_the_next_takes_over(counted: Counted) -> None:
    first, second = free_port(), free_port()
    exporter = serve(counted.directory, first)
    assert eventually(lambda: answers(first))
    pid = os.fork()
    if pid == 0:  # Another process, which would have its parent's port, too, if it didn't let it go.
        serve(counted.directory, second)
        time.sleep(2 * PATIENCE_SECONDS)
        os._exit(0)
    try:
        assert answers(first)
        assert not answers(second)
        exporter.stop()
        assert eventually(lambda: answers(second))
        assert not answers(first)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_port_that_is_taken_is_tried_again_and_that_alone_is_logged(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.metrics.exporter._RETRY_SECONDS", 0.05)
    with capture_logs() as logged:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            exporter = serve(counted.directory, port)
            assert eventually(lambda: bool(logged))
        assert eventually(lambda: answers(port))
        exporter.stop()
        exporter = serve(counted.directory, other := free_port())
        assert eventually(lambda: answers(other))
        exporter.stop()
    assert [line["event"] for line in logged] == ["metrics_not_served", "metrics_served"]


# --- the gauges of the database --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_every_gauge_of_the_database(counted: Counted, store: Any, settings: Settings) -> None:
    level = make_level(10)
    receive(level.product_id, 4, "wh-002")
    settings.METRICS_PRODUCTS = [level.product.sku.lower(), "nothing"]
    make_due(hold((level, 1)).id)
    hold((level, 1))
    heartbeats.beat(heartbeats.SWEEPER)
    heartbeats.beat(heartbeats.BACKUP)
    found = collected(DatabaseCollector())
    sku = level.product.sku
    assert found["inventory_database_up", frozenset()] == 1
    assert found["inventory_stock_level", labels(warehouse="wh-001")] == 10
    assert found["inventory_product_stock_level", labels(warehouse="wh-002", product=sku)] == 4
    assert found["inventory_active_reservations", frozenset()] == 1
    assert found["inventory_stuck_reservations", frozenset()] == 0
    assert 1 <= found["inventory_oldest_due_hold_seconds", frozenset()] < PATIENCE_SECONDS
    assert 0 <= found["inventory_heartbeat_age_seconds", labels(name="sweeper")] < PATIENCE_SECONDS
    assert 0 <= found["inventory_backup_age_seconds", frozenset()] < PATIENCE_SECONDS
    assert found["inventory_dead_letters", labels(kind="webhook")] == 0
    names = {name for name, _ in found}
    absent = {"inventory_reconciliation_differences"}
    assert names == {each.name for each in all_metrics(definitions) if isinstance(each, DatabaseGauge)} - absent


@pytest.mark.django_db(transaction=True)
def test_stock_is_summed_by_one_machine_for_all(counted: Counted, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(10)
    key = ("inventory_stock_level", labels(warehouse="wh-001"))
    first, second = DatabaseCollector(), DatabaseCollector()
    assert collected(first)[key] == 10
    receive(level.product_id, 5)
    assert collected(second)[key] == 10
    assert heartbeats.STOCK not in heartbeats.read()

    monkeypatch.setattr(figures, "_STOCK_SECONDS", 0)
    monkeypatch.setattr(figures, "_SUM", "SELECT pg_sleep(60)::text")
    monkeypatch.setattr(figures, "_TIMEOUT", "50ms")
    failed = collected(DatabaseCollector())
    assert key not in failed
    assert failed["inventory_database_up", frozenset()] == 1
    monkeypatch.undo()
    assert key not in collected(DatabaseCollector())
    monkeypatch.setattr(figures, "_STOCK_SECONDS", 0)
    assert collected(DatabaseCollector())[key] == 15


def labels(**given: str) -> frozenset[tuple[str, str]]:
    return frozenset(given.items())


def collected(collector: DatabaseCollector) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


@pytest.mark.django_db(transaction=True)
def test_database_that_is_away_is_the_only_thing_said(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    assert collected(DatabaseCollector()) == {("inventory_database_up", frozenset()): 0}


def test_database_that_hangs_delays_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    monkeypatch.setattr(figures, "_PATIENCE_SECONDS", 0.2)
    collector = DatabaseCollector()
    collector._now = Rarely(lambda: hung.wait(PATIENCE_SECONDS) and {}, lambda: 0.0)  # type: ignore[arg-type, return-value]
    began = time.monotonic()
    for _ in range(10):
        assert collected(collector) == {("inventory_database_up", frozenset()): 0}
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert threading.active_count() < 50
    hung.set()


def test_database_is_read_once_in_an_interval() -> None:
    calls: list[int] = []
    failures: dict[int, Exception] = {2: OperationalError("away"), 3: ZeroDivisionError()}
    every = [3600.0]

    def read() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
        calls.append(1)
        if len(calls) in failures:
            raise failures[len(calls)]
        return {definitions.DATABASE_UP: {(): len(calls)}}

    rarely = Rarely(read, lambda: every[0])
    for _ in range(5):
        assert rarely.latest(PATIENCE_SECONDS) == {definitions.DATABASE_UP: {(): 1}}
    every[0] = 0.0
    assert rarely.latest(PATIENCE_SECONDS) is None
    every[0] = 3600.0
    assert rarely.latest(PATIENCE_SECONDS) is None
    every[0] = 0.0
    assert rarely.latest(PATIENCE_SECONDS) is None
    assert len(calls) == 3
    assert rarely.latest(PATIENCE_SECONDS) == {definitions.DATABASE_UP: {(): 4}}


@pytest.mark.django_db(transaction=True)
def test_reading_takes_no_connection_of_the_pool(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", {"min_size": 0, "max_size": 0})
    assert collected(DatabaseCollector())["inventory_database_up", frozenset()] == 1


def test_help_has_no_markup() -> None:
    for metric in all_metrics(definitions):
        assert not set("`[]") & set(described(metric)), metric.name
