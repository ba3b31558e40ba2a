"""The benchmark's own arithmetic, and one run of its smallest size from end to end."""

import http.server
import json
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import cases, chart, client, raw, report
from benchmarks.cases import COMBINED, PLAIN, RAW, Sample
from benchmarks.client import Load, Target
from benchmarks.runner import Results
from benchmarks.subject import SKUS, products_of

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def load_of(per_second: float) -> Load:
    return Load(int(per_second), 1.0, 0, 1.0, 2.0, 3.0)


def sample(contestant: str, per_second: float, *, connections: int = 16, way: str = "", repeat: int = 0) -> Sample:
    return Sample("reserve-hot", contestant, connections, way, repeat, load_of(per_second))


def results(*samples: Sample) -> Results:
    facts = {
        "date": "2026-01-02",
        "cores": 2,
        "machine": "m",
        "postgresql": "18",
        "python": "3",
        "load": "wrk",
        "repeats": 3,
        "seconds": 1,
        "took_seconds": 60,
        "command": "python -m benchmarks",
        "closed": 100,
        "history": 0,
    }
    return Results(list(samples), facts, [])


def test_percentile_is_a_value_that_was_measured() -> None:
    assert [client.percentile(range(1, 101), percent) for percent in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert client.percentile([7.0], 99) == 7.0
    assert client.percentile([], 50) == 0.0


def test_answer_has_a_length_once_its_head_is_complete() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert client.answer_length(head[:-1]) is None
    assert client.answer_length(head) == len(head) + 5


def test_spread_visits_every_sku_before_it_repeats_one() -> None:
    visited = Counter(products_of(number, hot=False, lines=1)[0] for number in range(SKUS))
    assert set(visited.values()) == {1}
    assert set(visited) == set(range(1, SKUS + 1))


def test_lines_of_a_request_are_for_different_skus() -> None:
    assert len(set(products_of(17, hot=False, lines=200))) == 200
    assert products_of(17, hot=True, lines=1) == [0]


def test_limit_is_the_best_way_by_its_median_and_never_the_batch() -> None:
    samples = [
        *(sample(RAW, rate, way="statement", repeat=n) for n, rate in enumerate((100, 110, 900))),
        *(sample(RAW, rate, way="function", repeat=n) for n, rate in enumerate((150, 160, 170))),
        sample(RAW, 9999, way="batch", connections=1),
    ]
    assert report.limit(samples, "reserve-hot", 16) == [150, 160, 170]


def test_median_stands_with_the_least_and_the_most() -> None:
    assert report.spread([1000, 3000, 2000]) == "2,000 (1,000–3,000)"
    assert report.spread([1000]) == "1,000"
    assert report.spread([]) == "–"


def test_goals_compare_medians() -> None:
    found = results(sample(RAW, 100, way="function"), sample(PLAIN, 20), sample(COMBINED, 210))
    goals = {goal: (value, is_reached) for goal, value, is_reached in report.goals(found)}
    assert goals["HOT ÷ raw SQL, 16 connections: ≥ 2"] == (2.1, True)
    assert goals["HOT ÷ plain, 16 connections: ≥ 10"] == (10.5, True)
    assert goals["SPREAD ÷ plain, 16 connections: ≥ 6"] == (None, False)


def test_page_shows_the_ratios() -> None:
    page = report.markdown(results(sample(RAW, 100, way="function"), sample(PLAIN, 20), sample(COMBINED, 210)))
    assert "| reserve, HOT, 16 connections | 100 | 20 | – | 210 | 2.1 × | 10.5 × |" in page


def test_chart_is_valid_svg_with_a_bar_for_each_value() -> None:
    drawn = chart.svg("a < b", [chart.Group("x & y", {"one": 10, "two": 20}), chart.Group("z", {"two": 5})])
    root = ET.fromstring(drawn)
    bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("height") == "12"]
    assert [e.get("class") for e in bars] == ["s0", "s1", "s1"]
    assert float(bars[1].get("width", 0)) == 2 * float(bars[0].get("width", 0))


def test_pgbench_is_read_with_its_requests_in_each_transaction() -> None:
    printed = (
        "number of transactions actually processed: 200\nnumber of failed transactions: 3 (1%)\ntps = 50.0 (without)\n"
    )
    found = raw.load_of(printed, [float(n) for n in range(1, 201)], 16)
    assert (found.requests, found.seconds, found.failures) == (3200, 4.0, 3)
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (100, 190, 198)


def test_unknown_case_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="reserve-hot"):
        cases.chosen(["nothing"])
    assert cases.chosen([]) == list(cases.NAMES)


class Answering(http.server.BaseHTTPRequestHandler):
    """201 for each body, but 409 for one that says no; in two pieces, as sockets may deliver it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(409 if b"no" in body else 201)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"do")
        self.wfile.flush()
        self.wfile.write(b"ne")

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[Target]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
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


def test_client_keeps_to_a_rate(target: Target) -> None:
    found = client.run(target, ["{}"] * 1000, connections=4, seconds=0.5, rate=40)
    assert 15 <= found.requests <= 21


def test_smallest_benchmark_runs_from_end_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--only",
        "reserve-spread",
        "--closed",
        "200",
    ]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data"), "--json", str(tmp_path / "found.json")],
        cwd=REPOSITORY,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["samples"]
    assert {one["contestant"] for one in found} == {"raw", "plain", "alone", "combined"}
    assert all(one["load"]["requests"] > 0 and one["load"]["failures"] == 0 for one in found)
    assert "## The goals" in done.stdout
