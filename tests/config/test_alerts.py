"""The rules in deploy/prometheus are valid, tested, about metrics that the service has, and have a runbook each."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from django.conf import settings
from django.db import connection

from tests.config.promql import FOLDER, Selector, documents, rules, selectors
from tests.contract.commands import all_routes
from tests.contract.examples import read

RUNBOOKS: Final[Path] = settings.BASE_DIR / "docs/guides/runbooks"
ALERTS_PAGE: Final[Path] = settings.BASE_DIR / "docs/guides/monitor.md"
HEADINGS: Final = ["What it means", "How to see it", "What to do", "When to wake somebody"]
SEVERITIES: Final = {"critical": "**Critical**: wakes somebody.", "warning": "**Warning**: can wait until the morning."}


ALERTS: Final = {rule["alert"]: rule for rule in rules() if "alert" in rule}
every_alert = pytest.mark.parametrize("name", ALERTS)


def run(*command: str | Path, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


# ------------------------------------------------------------------------------------------------ promtool


def test_configuration_and_rules_are_valid(promtool: str) -> None:
    for command in (["config", "prometheus.yml"], ["rules", "--lint=all", "--lint-fatal", *rule_files()]):
        done = run(promtool, "check", *command)
        assert done.returncode == 0, done.stdout + done.stderr


def rule_files() -> list[str]:
    return [path.relative_to(FOLDER).as_posix() for path in sorted(FOLDER.glob("rules/*.yml"))]


def test_alerts_fire_when_they_should_and_only_then(promtool: str) -> None:
    done = run(promtool, "test", "rules", *sorted(FOLDER.glob("tests/*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_with_another_threshold_fails_its_test(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "prometheus")
    changed = tmp_path / "prometheus/rules/events.yml"
    text = changed.read_text(encoding="utf-8")
    changed.write_text(text.replace("inventory_feed_lag_seconds) > 60", "inventory_feed_lag_seconds) > 6000"))
    done = run(promtool, "test", "rules", "tests/events.yml", folder=changed.parents[1])
    assert done.returncode != 0
    assert "FeedLag: The feed stands still" in done.stdout + done.stderr


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for document in documents("tests"):
        for test in document["tests"]:
            for check in test["alert_rule_test"]:
                fires[check["alertname"]].add(bool(check.get("exp_alerts")))
    assert {name for name, found in fires.items() if found != {True, False}} == set()


def test_example_names_each_container_of_compose_that_serves_metrics() -> None:
    compose = yaml.safe_load((settings.BASE_DIR / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    named = re.findall(r'"([a-z-]+):9464"', (FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    serving = {name for name, each in compose.items() if each.get("environment", {}).get("METRICS_PORT") == "9464"}
    assert set(named) == serving - {"migrate"}


# ------------------------------------------------------------------------------------------------ what the rules say


def test_reservations_and_stock_are_watched_as_agreed() -> None:
    agreed = {
        "HighReservationFailureRate": (
            "rate(inventory_reservation_failed_total[5m]) > 0.1",
            "5m",
            "High reservation failure rate",
        ),
        "CriticalStockLevels": (
            "inventory_critical_stock_items > 10",
            "15m",
            "Multiple items at critical stock levels",
        ),
        "StuckReservations": ("inventory_stuck_reservations > 50", "10m", "Too many stuck reservations"),
    }
    for name, (expression, duration, summary) in agreed.items():
        rule = ALERTS[name]
        assert (rule["expr"], rule["for"], rule["annotations"]["summary"]) == (expression, duration, summary)


@every_alert
def test_alert_has_a_severity_a_summary_a_description_and_its_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in SEVERITIES
    annotations = rule["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert not annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")
    assert annotations["runbook_url"] == f"docs/guides/runbooks/{name}.md"


def test_rules_name_metrics_labels_and_values_that_the_service_has() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    found = [selector for rule in rules() for selector in selectors(rule["expr"])]
    assert len(found) > 50
    assert [(each.name, fault) for each in found for fault in each.faults(recorded)] == []


def test_stock_calls_are_those_of_the_objective() -> None:
    patterns = {
        value
        for rule in rules()
        for each in selectors(rule["expr"])
        for label, _, value in each.matchers
        if label == "route"
    }
    (calls,) = {pattern for pattern in patterns if "(" in pattern}
    paths = {route.partition(" ")[2] for route in all_routes()}
    assert {path.rpartition("/")[2] for path in paths if re.fullmatch(calls, path)} == {
        "reserve",
        "consume",
        "release",
        "extend",
        "check-availability",
    }
    assert patterns - {calls} == {"/api/.*"}


@pytest.mark.parametrize(
    "expression",
    [
        "rate(inventory_teapots_total[5m])",
        'inventory_heartbeat_age_seconds{process="beat"}',
        'inventory_lock_retries_total{reason="tea"}',
        'inventory_dead_letters{kind=~"tea|webhook"}',
        'inventory_canary_duration_seconds_bucket{le="0.7"}',
        "inventory_canary_duration_seconds",
        "inventory_lock_wait_seconds_total",
        "job:inventory_teapots:rate5m",
        'uptime{job="inventory"}',
        'process_start_time_seconds{kind="web"}',
    ],
)
def test_what_the_service_does_not_have_is_found(expression: str) -> None:
    found = selectors(expression)
    assert len(found) == 1
    assert list(found[0].faults(set()))


def test_selectors_are_read_whole() -> None:
    text = 'sum by (job) (rate(inventory_dead_letters{kind=~"a,b}", job="x"}[5m])) / job:x:rate5m and on (job) up == 1'
    assert selectors(text) == [
        Selector("inventory_dead_letters", (("kind", "=~", "a,b}"), ("job", "=", "x"))),
        Selector("job:x:rate5m", ()),
        Selector("up", ()),
    ]


# ------------------------------------------------------------------------------------------------ runbooks


def test_each_runbook_has_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == ALERTS.keys()


@every_alert
def test_runbook_says_what_it_means_how_to_see_it_what_to_do_and_when_to_wake_somebody(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n\n{SEVERITIES[ALERTS[name]['labels']['severity']]} ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert all(len(section.split()) > 5 or "Never" in section for section in text.split("\n## ")[1:])


@every_alert
def test_runbook_names_rows_of_the_dashboard(name: str) -> None:
    dashboard = json.loads((settings.BASE_DIR / "deploy/grafana/inventory.json").read_text("utf-8"))
    rows = {panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"}
    text = " ".join((RUNBOOKS / f"{name}.md").read_text(encoding="utf-8").split())
    for named in re.findall(r"dashboard's rows? (\*\*.+?\*\*(?: and \*\*.+?\*\*)?)", text):
        assert set(re.findall(r"\*\*(.+?)\*\*", named)) <= rows


@pytest.mark.django_db
def test_queries_of_runbooks_run() -> None:
    queries = [query for path in RUNBOOKS.iterdir() for query in _queries(path)]
    assert queries
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(f"EXPLAIN {query}")


def _queries(page: Path) -> Iterator[str]:
    for command in read(page.read_text(encoding="utf-8")).named:
        yield from re.findall(r'dbshell -- -c "(.*)"', command)


def test_alerts_are_listed_with_their_severity_and_runbook() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", ALERTS_PAGE.read_text("utf-8"), re.MULTILINE)
    assert {name: severity for name, _, severity in rows} == {
        name: rule["labels"]["severity"] for name, rule in ALERTS.items()
    }
    assert all(name == page for name, page, _ in rows)
