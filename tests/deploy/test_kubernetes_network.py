"""The network policies of deploy/kubernetes: each pod reaches what it needs, and is reached by who needs it."""

import json
from typing import Any, Final

import pytest

from tests.deploy.rendering import (
    EVERYTHING,
    RENDERED,
    Manifest,
    labels_of,
    named,
    of_kind,
    port_names,
    selects,
    workloads,
)

every = pytest.mark.parametrize("name", RENDERED)


def policies(name: str, template: Manifest, direction: str) -> list[Manifest]:
    """The policies that let a pod's traffic through, in a direction."""
    return [
        each["spec"]
        for each in of_kind(name, "NetworkPolicy")
        if selects(each["spec"]["podSelector"], labels_of(template)) and each["spec"].get(direction.lower())
    ]


def egress_ports(name: str, template: Manifest) -> set[Any]:
    return {
        port["port"]
        for policy in policies(name, template, "Egress")
        for rule in policy["egress"]
        for port in rule["ports"]
    }


@every
def test_nobody_talks_to_anybody_unless_a_policy_lets_them(name: str) -> None:
    (deny,) = [each["spec"] for each in of_kind(name, "NetworkPolicy") if each["metadata"]["name"] == "deny-all"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(name, "NetworkPolicy"):
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            assert rule["ports"], named(policy)
            assert rule.get("from") or rule.get("to"), "an empty list would mean everybody"
        made = [each for _, each in workloads(name) if selects(policy["spec"]["podSelector"], labels_of(each))]
        assert made, f"{named(policy)} is for no pod"
        for rule in policy["spec"].get("ingress", ()):
            for port in rule["ports"]:
                assert any(port["port"] in port_names(each) for each in made), named(policy)


DNS: Final = {53}
KAFKA: Final = {9092}
TALKS_TO: Final = {
    "web": DNS | {5432, 6379},
    "console": DNS | {5432, 6379},
    "sweeper": DNS | {5432, 6379},
    "beat": DNS | {5432, 6379},
    "worker": DNS | {5432, 6379, 25, 465, 587},
    "relay": DNS | {5432, 6379, 443},
    "consumer": DNS | {5432, 6379},
    "migrate": DNS | {5432},
    "backup": DNS | {5432},
    "postgres": set[int](),
    "redis": set[int](),
}


@every
def test_each_pod_reaches_what_it_needs_and_nothing_else(name: str) -> None:
    for manifest, template in workloads(name):
        component = manifest["metadata"]["name"]
        expected = TALKS_TO[component]
        if name == EVERYTHING and component in {"relay", "consumer"}:
            expected = expected | KAFKA
        assert egress_ports(name, template) == expected, component


@every
def test_only_proxies_call_web_and_only_monitoring_reads_metrics(name: str) -> None:
    for manifest, template in workloads(name):
        component = manifest["metadata"]["name"]
        callers: dict[str, set[str]] = {}
        for policy in policies(name, template, "Ingress"):
            for rule in policy["ingress"]:
                for port in rule["ports"]:
                    callers.setdefault(port["port"], set()).update(json.dumps(each) for each in rule["from"])
        for port in port_names(template):
            (caller,) = callers[port]
            if component in {"postgres", "redis"}:
                assert "app.kubernetes.io/name" in caller
            else:
                label = {"http": "inventory.access/web", "metrics": "inventory.access/metrics"}[port]
                assert json.loads(caller) == {"namespaceSelector": {"matchLabels": {label: "true"}}}
