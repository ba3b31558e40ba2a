"""The benchmark's calculations and pages, and one run of the smallest size from end to end."""

import http.client
import http.server
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cases, chart, client, cpu, goals, raw, report, webhooks
from benchmarks.cases import COMBINED, PLAIN, RAW, Sample
from benchmarks.client import Load
from benchmarks.cluster import Cluster
from benchmarks.figures import limit, spread
from benchmarks.importing import write_csv
from benchmarks.peer import Peer
from benchmarks.plans import top_nodes
from benchmarks.runner import Options, Results, Runner
from benchmarks.service import Service
from benchmarks.subject import BASKET_LINES, BASKETS, SKUS, basket_quantities, products_of
from inventory.services.stock.import_files import read_file


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
        "durability": {"fsync": "on", "synchronous_commit": "on"},
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


@pytest.mark.parametrize("given", ["--data-dir a --json b", "--data-dir=a --json=b"])
def test_command_on_the_page_names_no_place_of_the_machine(given: str) -> None:
    assert (
        report.command_line(["--quick", *given.split(), "--repeats", "2"]) == "python -m benchmarks --quick --repeats 2"
    )


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
    assert limit(samples, "reserve-hot", 16) == [150, 160, 170]


def test_median_is_shown_with_minimum_and_maximum() -> None:
    assert spread([1000, 3000, 2000]) == "2,000 (1,000–3,000)"
    assert spread([1000]) == "1,000"
    assert spread([]) == "–"


def test_goals_compare_medians() -> None:
    found = results(sample(RAW, 100, way="function"), sample(PLAIN, 20), sample(COMBINED, 210))
    reached = {goal: (value, is_reached) for goal, value, is_reached in goals.goals(found)}
    assert reached["HOT ÷ raw SQL, 16 connections: ≥ 2"] == (2.1, True)
    assert reached["HOT ÷ plain, 16 connections: ≥ 10"] == (10.5, True)
    assert reached["SPREAD ÷ plain, 16 connections: ≥ 6"] == (None, False)


def of_case(
    case: str, contestant: str, per_second: float, cpu_us: tuple[float, float], connections: int = 16
) -> Sample:
    measured = replace(load_of(per_second), web_cpu_us=cpu_us[0], postgresql_cpu_us=cpu_us[1])
    return Sample(case, contestant, connections, "", 0, measured)


def test_goals_of_reads_and_changes_compare_rates_and_cpu_time() -> None:
    found = results(
        of_case("product", PLAIN, 100, (4000, 900)),
        of_case("product", COMBINED, 1600, (120, 31)),
        of_case("check-1", COMBINED, 1600, (100, 50)),
        of_case("reserve-spread", COMBINED, 2000, (150, 50)),
        of_case("basket-1", COMBINED, 900, (220, 90)),
        of_case("sold-out", COMBINED, 7000, (90, 1)),
        of_case("sold-out", COMBINED, 8500, (90, 1), connections=64),
        of_case("adjust-200", PLAIN, 20, (1, 1), connections=4),
        of_case("adjust-200", COMBINED, 120, (1, 1), connections=4),
    )
    reached = {goal: (value, is_reached) for goal, value, is_reached in goals.goals(found)}
    assert reached["product ÷ plain: ≥ 15"] == (16, True)
    assert reached["product, CPU µs: ≤ 150"] == (151, False)
    assert reached["check-1, CPU µs: ≤ 150"] == (150, True)
    assert reached["basket-1 ÷ reserve, SPREAD, CPU: ≤ 1.5"] == (1.55, False)
    assert reached["sold out, refusals/s, the best: ≥ 8,000"] == (8500, True)
    assert reached["adjust-200 ÷ plain: ≥ 5"] == (6, True)


def test_page_shows_cpu_time_beside_rates_and_says_what_is_durable() -> None:
    page = report.markdown(
        results(
            of_case("product", PLAIN, 100, (4000, 1000)),
            of_case("product", COMBINED, 1000, (80, 20)),
            of_case("basket-1", COMBINED, 900, (220, 90)),
        )
    )
    assert (
        "| product, one SKU, 16 connections | – | 100 | – | 1,000 | – | 10.0 × | 4,000 + 1,000 | 80 + 20 | 50.0 × | – |"
        in page
    )
    assert "| change a basket of 1 line, 16 connections | – | – | – | 900 | – | – | – | 220 + 90 | – | yes |" in page
    assert "PostgreSQL 18 (fsync on, synchronous_commit on)" in page


def test_cpu_time_is_that_of_all_threads_and_of_ended_children() -> None:
    code = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    threaded = (
        f"import threading\ndef work():\n exec({code!r}, {{}})\nt = threading.Thread(target=work)\nt.start()\nt.join()"
    )
    before = cpu.spent_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", threaded], check=True)
    assert cpu.spent_seconds(os.getpid()) - before > 0.17  # Of ended children, time is counted in whole ticks of 10 ms.
    with subprocess.Popen([sys.executable, "-c", f"{threaded}\ninput()"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        while cpu.spent_seconds(child.pid) < 0.2:
            assert child.poll() is None
        child.stdin.write(b"\n")


def test_page_shows_the_ratios() -> None:
    page = report.markdown(results(sample(RAW, 100, way="function"), sample(PLAIN, 20), sample(COMBINED, 210)))
    assert "| reserve, HOT, 16 connections | 100 | 20 | – | 210 | 2.1 × | 10.5 × | – | – | – | yes |" in page


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


def test_each_round_of_a_basket_has_another_number_of_each_line_more_of_some_and_less_of_others() -> None:
    for turn in range(-1, 9):
        before, after = (basket_quantities(each, BASKET_LINES) for each in (turn, turn + 1))
        changes = [b - a for a, b in zip(before, after, strict=True)]
        assert len(changes) == BASKET_LINES
        assert 0 not in changes
        assert min(changes) < 0 < max(changes)
        assert basket_quantities(turn, 1) != basket_quantities(turn + 1, 1)


def subjects(folder: Path) -> tuple[Service, Peer]:
    cluster = Cluster(folder, folder, "", "")
    return Service(cluster, "service"), Peer(cluster, "plain")


def test_baskets_are_changed_in_turn_and_share_no_product(tmp_path: Path) -> None:
    for subject in subjects(tmp_path):
        requests = [one.split("\t") for one in subject.bodies("basket", 2 * BASKETS, hot=False, lines=BASKET_LINES)]
        paths = [path for path, _ in requests]
        assert paths[:BASKETS] == paths[BASKETS:]
        assert len(set(paths)) == BASKETS
        lines = [line for _, body in requests[:BASKETS] for line in json.loads(body)["items"]]
        assert len({line.get("productId", line.get("product_id")) for line in lines}) == BASKETS * BASKET_LINES
        assert all(first != second for (_, first), (_, second) in zip(requests, requests[BASKETS:], strict=False))


def test_file_to_import_has_nothing_wrong(tmp_path: Path) -> None:
    write_csv(tmp_path / "file.csv", 250)
    read = read_file("file.csv", (tmp_path / "file.csv").read_bytes())
    assert (len(read.lines), read.bad) == (250, ())


def options(names: list[str], folder: Path, *, is_quick: bool) -> Options:
    return Options(names, 1, 1, is_quick, closed=1, history=0, levels=1000, data_dir=folder)


def test_quick_run_leaves_the_large_catalogue_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, tmp_path, "", "")

    def cases_of(names: list[str], *, is_quick: bool) -> set[str]:
        runner = Runner(options(cases.chosen(names), tmp_path, is_quick=is_quick), cluster)
        return {step.case.name for step in runner.steps()}

    assert "low-stock" not in cases_of([], is_quick=True)
    assert "extend" in cases_of([], is_quick=True)
    assert "basket" not in cases_of([], is_quick=True)
    assert {"product", "sold-out", "basket-1"} <= cases_of([], is_quick=True)
    assert "low-stock" in cases_of([], is_quick=False)
    assert cases_of(["low-stock"], is_quick=True) == {"low-stock"}


def of_streams() -> Results:
    found = results()
    delays = {"p50": [50.0, 70.0], "p95": [200.0, 301.0], "p99": [400.0, 500.0]}
    found.facts["streams"] = {
        "delays_ms": delays,
        "feed_delays_ms": {percent: [20.0, 30.0] for percent in delays},
        "backlog": 50_000,
        "per_second": [6000.0, 8000.0],
        "webhook_events": 10_000,
        "webhooks_per_second": [500.0, 490.0],
    }
    return found


def test_streams_are_reported_with_their_goals_and_charts(tmp_path: Path) -> None:
    report.write(of_streams(), tmp_path)
    page = (tmp_path / "benchmark.md").read_text()
    assert "| from the commit to a reader, p95, ms | 250 (200–301) |" in page
    assert "| 10,000 webhooks while another receiver hangs, a second | 495 (490–500) |" in page
    assert "| commit to Redis stream, p95 in ms: < 250 | 250 | **no** |" in page
    assert "| commit to a listener of the feed, p95 in ms: < 250 | 25.00 | yes |" in page
    assert "| backlog to Redis stream, events/s: ≥ 5,000 | 7,000 | yes |" in page
    assert "| webhooks, another hangs, events/s: ≥ 500 | 495 | **no** |" in page
    for chart_file, drawn in (("benchmark-streams.svg", 6), ("benchmark-rates.svg", 4)):
        assert f"]({chart_file})" in page
        root = ET.parse(tmp_path / chart_file)
        bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("height") == "12"]
        assert len(bars) == drawn


def test_run_of_streams_alone_renews_its_sections_and_goals_of_the_page(tmp_path: Path) -> None:
    whole = results(sample(RAW, 100, way="function"), sample(COMBINED, 210))
    report.write(whole, tmp_path)
    before, chart_before = ((tmp_path / name).read_text() for name in ("benchmark.md", "benchmark.svg"))
    later = of_streams()
    later.facts["command"] = "python -m benchmarks --only streams"
    report.write(later, tmp_path)
    renewed = (tmp_path / "benchmark.md").read_text()
    requests, goals = before.split("## The goals\n")
    assert renewed.startswith(requests)
    assert (tmp_path / "benchmark.svg").read_text() == chart_before
    events = renewed.removeprefix(requests)
    assert events.startswith("## Events and webhooks\n\n2026-01-02, 2 cores")
    assert events.count("`python -m benchmarks --only streams`") == 1
    assert goals + "| commit to Redis stream, p95 in ms: < 250 | 250 | **no** |\n" in events
    later.facts["streams"]["webhooks_per_second"] = [600.0]
    report.write(later, tmp_path)
    again = (tmp_path / "benchmark.md").read_text()
    assert again == renewed.replace("495 (490–500)", "600").replace("500 | 495 | **no** |", "500 | 600 | yes |")


def test_whole_run_keeps_the_sections_that_it_did_not_measure_with_the_run_that_did(tmp_path: Path) -> None:
    earlier = of_streams()
    earlier.samples.append(sample(COMBINED, 100))
    report.write(earlier, tmp_path)
    events = (
        (tmp_path / "benchmark.md").read_text().partition("## Events and webhooks\n")[2].partition("## The goals")[0]
    )
    later = results(sample(COMBINED, 210))
    later.facts |= {"date": "2027-03-04", "command": "python -m benchmarks --repeats 3"}
    for _ in range(2):
        report.write(later, tmp_path)
        page = (tmp_path / "benchmark.md").read_text()
        assert page.count("\n2027-03-04, 2 cores") == 1
        assert page.count("\n2026-01-02, 2 cores") == 1
        assert "| – | 210 |" in page
        kept = page.partition("## Events and webhooks\n\n2026-01-02, 2 cores")[2].partition("## The goals")[0]
        assert kept.endswith(f"`python -m benchmarks`.\n{events}")


def test_receiver_counts_an_event_once_and_lets_the_others_wait() -> None:
    def post(port: int, path: str, event: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", path, b"{}", {"webhook-id": event})
        return connection

    with webhooks.receiver() as port:
        waiting = post(port, "/hang", "ev-1")
        for event in ("ev-1", "ev-2", "ev-1"):
            with closing(post(port, "/fast", event)) as connection:
                assert connection.getresponse().status == 204
        found = webhooks.wait_for(port, lambda found: found.hanging > 0)
        assert (found.events, found.hanging) == (2, 1)
        assert found.last_at <= time.monotonic()
        waiting.close()


def test_top_of_a_plan_is_four_nodes_deep() -> None:
    node: dict[str, object] = {"Node Type": "Deepest", "Actual Total Time": 1, "Actual Rows": 1, "Actual Loops": 1}
    for number in range(4):
        node = {**node, "Node Type": f"Node {number}", "Relation Name": "levels", "Actual Loops": 3, "Plans": [node]}
    lines = top_nodes(node)
    assert lines[0] == "Node 3 on levels (1.0 ms, 1 rows × 3)"
    assert [line.count("  ") for line in lines] == [0, 1, 2, 3]


def imported(contestant: str, lines: int, seconds: float) -> Sample:
    return Sample("import", contestant, 1, "", 0, Load(lines, seconds, 0, 0, 0, 0))


def test_goal_of_an_import_is_one_of_whole_files_in_seconds() -> None:
    goal = "import of 100,000 lines in s: < 30, well under a minute"
    whole = results(imported(PLAIN, 5_000, 10), imported(COMBINED, 100_000, 12.5))
    assert (goal, 12.5, True) in goals.goals(whole)
    assert (goal, None, False) in goals.goals(results(imported(COMBINED, 10_000, 1)))
    page = report.markdown(whole)
    assert "| 100,000 lines (plain: 5,000) | 500 | 8,000 | 16.0 × | 12.5 |" in page


def test_page_describes_how_each_is_served_and_shows_plans() -> None:
    found = results(sample(PLAIN, 20))
    found.facts["low_stock"] = {"levels": 1000, "low": 35, "plans": {COMBINED: [["Sort", "  Scan"]], PLAIN: [["Scan"]]}}
    page = report.markdown(found)
    assert "by WSGI, in 2 processes of 16 threads" in page
    assert "by ASGI, in one process" in page
    assert "1,000 stock levels in 10 warehouses, a third of them watched, 35 of them low" in page
    assert "```\nSort\n  Scan\n```" in page


def test_unknown_case_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="reserve-hot"):
        cases.chosen(["nothing"])
    assert cases.chosen([]) == list(cases.NAMES)
