"""The dashboard in deploy/grafana: complete, without overlaps, and about metrics that the service has."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from django.conf import settings

from tests.config.promql import rules, selectors

DASHBOARD: Final[dict[str, Any]] = json.loads((settings.BASE_DIR / "deploy/grafana/inventory.json").read_text("utf-8"))
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
VARIABLES: Final = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
OURS: Final = {"$__rate_interval": "5m", "$__range": "1h", "$job": "inventory", "$warehouse": ".*"}
"""Values of Grafana's variables and the dashboard's."""


def panels(*, rows: bool = False) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if (panel["type"] == "row") is rows]


def expressions() -> Iterator[tuple[str, str]]:
    """The title of each panel with each of its expressions, as Grafana sends them."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"])
    for annotation in DASHBOARD["annotations"]["list"]:
        if "target" in annotation:
            yield annotation["name"], filled(annotation["target"]["expr"])


def filled(text: str) -> str:
    for name, value in OURS.items():
        text = text.replace(name, value)
    return text


def test_ids_are_unique_and_rows_are_those_that_the_guide_names() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert sorted(set(ids)) == sorted(ids)
    guide = " ".join((settings.BASE_DIR / "docs/guides/monitor.md").read_text("utf-8").split())
    assert ", ".join(row["title"] for row in panels(rows=True)).lower() in guide.lower()


def test_panels_are_within_the_grid_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells, panel["title"]
        assert all(0 <= x < COLUMNS for x, _ in cells), panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_panels_are_complete() -> None:
    for panel in panels():
        assert panel["datasource"] == SOURCE, panel["title"]
        assert {"title", "description", "fieldConfig", "options", "gridPos"} <= panel.keys()
        assert panel["description"].endswith("."), panel["title"]
        assert panel["type"] in {"timeseries", "stat", "heatmap"}
        references = [target["refId"] for target in panel["targets"]]
        assert references, panel["title"]
        assert len(set(references)) == len(references), panel["title"]
        assert all(target["datasource"] == SOURCE for target in panel["targets"])


def test_each_variable_that_is_used_is_defined_and_each_defined_one_is_used() -> None:
    text = json.dumps(DASHBOARD)
    used = set(re.findall(r"\$\{?(?!__)(\w+)", text))
    assert used == VARIABLES.keys()
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"


def test_legends_name_labels_by_which_their_expressions_are_grouped() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b|^\w+{{[^}}]*}}$", target["expr"]), panel["title"]


def test_each_expression_is_about_one_installation() -> None:
    for title, expression in expressions():
        for selector in selectors(expression):
            assert ("job", "=", "inventory") in selector.matchers, title


def test_expressions_name_metrics_labels_and_values_that_the_service_has() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    found = [(title, selector) for title, expression in expressions() for selector in selectors(expression)]
    assert len(found) > 60
    assert [(title, each.name, fault) for title, each in found for fault in each.faults(recorded)] == []


def test_each_metric_of_an_alert_is_shown() -> None:
    shown = {selector.metric for _, expression in expressions() for selector in selectors(expression)}
    alerted = {each.metric for rule in rules() if "alert" in rule for each in selectors(rule["expr"])}
    assert alerted - shown == set()


def test_expressions_are_valid(promtool: str, tmp_path: Path) -> None:
    """Each expression as a recording rule, which promtool parses."""
    wanted = [{"record": f"panel:{number}", "expr": expression} for number, (_, expression) in enumerate(expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": wanted}]}))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    path.write_text(path.read_text().replace("histogram_quantile(", "histogram_quantile)", 1))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0


LINES: Final = {
    "Latency of stock calls": 0.5,
    "Error budget": 14.4,
}
"""Dashed lines that are no threshold of a rule, but explained in one."""


def test_dashed_lines_are_thresholds_of_alerts() -> None:
    lines = 0
    for panel in panels():
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": []})["steps"]
        metrics = {selector.metric for target in panel["targets"] for selector in selectors(filled(target["expr"]))}
        for step in steps if panel["type"] == "timeseries" else []:
            if step["value"] is not None and panel["title"] not in LINES:
                lines += 1
                assert step["value"] in {limit for metric in metrics for limit in limits_of(metric)}, panel["title"]
    assert lines > 10


def limits_of(metric: str) -> Iterator[float]:
    """The thresholds of alerts about this metric. What must not be above 0 is drawn at 1."""
    for rule in rules():
        if "alert" in rule and metric in {selector.metric for selector in selectors(rule["expr"])}:
            for number, factor in re.findall(r"> ([\d.]+)(?: \* (\d+))?", rule["expr"]):
                yield float(number) * float(factor or 1) or 1
