"""The client that sends the benchmark's requests."""

import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks import client
from benchmarks.client import Target
from benchmarks.cluster import BenchmarkFailed

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class Answering(http.server.BaseHTTPRequestHandler):
    """201 for each body, but 409 for one that says no; in two pieces, as sockets may deliver it."""

    protocol_version = "HTTP/1.1"
    put: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(409 if b"no" in body else 201)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"do")
        self.wfile.flush()
        self.wfile.write(b"ne")

    def do_PUT(self) -> None:
        Answering.put.append(self.path)
        self.do_POST()

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[Target]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    Answering.put.clear()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Target(server.server_port, "POST", "/", "Bearer x")
    server.shutdown()
    server.server_close()
    thread.join()


def test_client_sends_each_body_once_and_counts_what_failed(target: Target) -> None:
    found = client.run(target, ['{"yes": 1}'] * 40 + ['{"no": 1}'] * 2, connections=1, seconds=10)
    assert (found.requests, found.failures) == (42, 2)
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms


def test_client_counts_other_answers_than_the_expected_status(target: Target) -> None:
    refused = replace(target, expected="409")
    found = client.run(refused, ['{"yes": 1}'] * 3 + ['{"no": 1}'] * 4, connections=1, seconds=10)
    assert (found.requests, found.failures) == (7, 3)


def test_answer_of_another_status_or_content_is_a_failure(target: Target) -> None:
    with pytest.raises(BenchmarkFailed, match="answered"):
        client.require(replace(target, expected="409"), '{"yes": 1}', {})


def test_client_asks_the_path_that_a_request_brings(target: Target) -> None:
    found = client.run(replace(target, method="PUT"), ["/a\t{}", "/b\t{}", "{}"], connections=1, seconds=10)
    assert (found.requests, found.failures) == (3, 0)
    assert Answering.put == ["/a", "/b", "/"]


def test_client_keeps_to_a_rate(target: Target) -> None:
    found = client.run(target, ["{}"] * 1000, connections=4, seconds=0.5, rate=40)
    assert 0 < found.requests <= 21


_OTHERS = ("sold-out", "product", "basket-1", "reservation", "import", "low-stock")


def test_smallest_benchmark_runs_from_end_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--only",
        "reserve-spread,sold-out,product,basket-1,reservation,import,low-stock",
        "--closed",
        "200",
        "--levels",
        "1000",
    ]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data"), "--json", str(tmp_path / "found.json")],
        cwd=REPOSITORY,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {(one["case"], one["contestant"]) for one in found["samples"]} == {
        *(("reserve-spread", contestant) for contestant in ("raw", "plain", "alone", "combined")),
        *((case, contestant) for case in _OTHERS for contestant in ("plain", "combined")),
    }
    assert all(one["load"]["requests"] > 0 and one["load"]["failures"] == 0 for one in found["samples"])
    for one in found["samples"]:
        is_served = one["contestant"] != "raw" and one["case"] != "import"
        assert is_served == ((one["load"]["web_cpu_us"] or 0) > 0 and one["load"]["postgresql_cpu_us"] is not None)
    assert found["facts"]["durability"]["fsync"] == "on"
    assert found["facts"]["low_stock"]["levels"] == 1000
    plans = found["facts"]["low_stock"]["plans"]
    assert {contestant: len(statements) for contestant, statements in plans.items()} == {"plain": 2, "combined": 2}
    assert "## The goals" in done.stdout
