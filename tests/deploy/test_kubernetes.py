"""What deploy/kubernetes promises beyond the schemas: safe pods, names that fit each other, one release."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

from config import serve, startup
from config.celery import app
from tests.deploy.rendering import (
    EVERYTHING,
    KUBERNETES,
    RENDERED,
    containers,
    is_ours,
    labels_of,
    named,
    of_kind,
    port_names,
    rendered,
    selects,
    settings_of,
    template_of,
    workloads,
)

DOCKERFILE: Final = Path(settings.BASE_DIR, "Dockerfile").read_text()
VERSION: Final = tomllib.loads(Path(settings.BASE_DIR, "pyproject.toml").read_text())["project"]["version"]
NO_BUDGET: Final = "inventory/no-disruption-budget"
NO_LIVENESS: Final = "inventory/no-liveness-probe"
every = pytest.mark.parametrize("name", RENDERED)


# --- safe pods -------------------------------------------------------------------------------------------------------


@every
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    for manifest, template in workloads(name):
        spec, where = template["spec"], named(manifest)
        assert spec["serviceAccountName"] == "inventory", where
        assert spec["automountServiceAccountToken"] is False, where
        assert spec["enableServiceLinks"] is False, where
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, where
        assert context["runAsUser"] > 0, where
        assert context["runAsGroup"] > 0, where
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), where
        assert not any("hostPath" in volume for volume in spec["volumes"]), where
    for manifest, container in containers(name):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, named(manifest)
        assert {"requests", "limits"} == container["resources"].keys(), named(manifest)
        for kind in ("requests", "limits"):
            assert {"memory", "cpu"} == container["resources"][kind].keys(), named(manifest)
    (account,) = of_kind(name, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert of_kind(name, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") == []


@every
def test_every_container_has_a_writable_tmp_and_volumes_that_exist(name: str) -> None:
    for manifest, template in workloads(name):
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        claimed = {each["metadata"]["name"] for each in manifest["spec"].get("volumeClaimTemplates", ())}
        claims = {each["metadata"]["name"] for each in of_kind(name, "PersistentVolumeClaim")}
        assert all(
            volume["persistentVolumeClaim"]["claimName"] in claims
            for volume in volumes.values()
            if "persistentVolumeClaim" in volume
        )
        used = set()
        spec = template["spec"]
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert "sizeLimit" in volumes[mounts["/tmp"]]["emptyDir"], named(manifest)
            used |= set(mounts.values())
        assert used == volumes.keys() | claimed, named(manifest)


@every
def test_pods_run_as_the_user_of_the_image(name: str) -> None:
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    assert f"useradd --system --uid {user} --gid inventory" in DOCKERFILE
    assert f"groupadd --system --gid {group} inventory" in DOCKERFILE
    for manifest, template in workloads(name):
        if any(is_ours(each) for each in template["spec"]["containers"]):
            context = template["spec"]["securityContext"]
            ids = [context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")]
            assert ids == [int(user), int(group), int(group)], named(manifest)


@every
def test_the_namespace_refuses_other_pods(name: str) -> None:
    (namespace,) = of_kind(name, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].get("namespace") for each in rendered(name)} == {namespace["metadata"]["name"], None}
    assert [each["kind"] for each in rendered(name) if "namespace" not in each["metadata"]] == ["Namespace"]


# --- one release -----------------------------------------------------------------------------------------------------


@every
def test_images_are_pinned_to_a_release(name: str) -> None:
    for manifest, container in containers(name):
        assert container["imagePullPolicy"] == "IfNotPresent", named(manifest)
        repository, separator, version = re.fullmatch(r"(.+?)([:@])([^/]+)", container["image"]).groups()  # type: ignore[union-attr]
        assert version != "latest"
        if name == "air-gapped":
            assert separator == "@"
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", version)
            assert repository.startswith("replace-me.example/"), "all from the operator's own registry"
        elif repository.endswith("inventory-reservation"):
            assert version == VERSION


def test_the_release_is_named_once() -> None:
    files = [path for path in KUBERNETES.rglob("*") if path.is_file()]
    assert [path.parent.name for path in files if VERSION in path.read_text()] == ["release"]
    assert f"\nTAG={VERSION}\n" in Path(settings.BASE_DIR, ".env.example").read_text()


def test_air_gapped_pulls_with_the_credentials_of_its_registry() -> None:
    (account,) = of_kind("air-gapped", "ServiceAccount")
    assert account["imagePullSecrets"] == [{"name": "registry"}]


# --- commands --------------------------------------------------------------------------------------------------------


def commands(name: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of our containers and probes, with the object's name."""
    for manifest, container in containers(name):
        if is_ours(container):
            if "command" in container:
                yield named(manifest), container["command"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if "exec" in container.get(probe, {}):
                    yield named(manifest), container[probe]["exec"]["command"]


@every
def test_every_command_exists(name: str) -> None:
    for where, command in commands(name):
        words = command
        if command[:2] == ["sh", "-c"]:
            words = shlex.split(command[2].split("until ")[1].split(" >")[0])
        if words[:2] == ["python", "manage.py"]:
            assert words[2] in get_commands(), where
        elif words[:2] == ["python", "-m"]:
            assert Path(settings.BASE_DIR, *words[2].split(".")).with_suffix(".py").exists(), where
        else:
            assert words[:4] == ["celery", "--quiet", "-A", "config"], where
            assert words[4] in {"worker", "beat"}, where


def test_every_queue_has_one_worker_as_in_compose() -> None:
    queues = {"celery"} | {str(route["queue"]) for route in app.conf.task_routes.values()}
    compose = yaml.safe_load(Path(settings.BASE_DIR, "docker-compose.yml").read_text())["services"]
    for name in RENDERED:
        listened = []
        for manifest, container in containers(name):
            component = manifest["metadata"]["name"]
            if is_ours(container) and container["name"] == "inventory" and component in compose:
                assert container.get("command") == compose[component].get("command"), component
            if "--queues" in container.get("command", ()):
                listened.append(container["command"][container["command"].index("--queues") + 1])
        assert sorted(listened) == sorted(queues)


@every
def test_who_has_no_readiness_waits_for_the_migrations(name: str) -> None:
    for manifest in of_kind(name, "Deployment"):
        spec = template_of(manifest)["spec"]
        waits = [each["name"] for each in spec.get("initContainers", ())] == ["wait-for-migrations"]
        asks = spec["containers"][0].get("readinessProbe", {}).get("httpGet", {}).get("path") == "/health/ready"
        assert waits != asks, named(manifest)


# --- names that fit --------------------------------------------------------------------------------------------------


@every
def test_selectors_choose_the_pods_that_are_meant(name: str) -> None:
    templates = [(manifest, template_of(manifest)) for manifest, _ in workloads(name)]
    for manifest in of_kind(name, "Deployment", "StatefulSet"):
        chosen = [named(other) for other, made in templates if selects(manifest["spec"]["selector"], labels_of(made))]
        assert chosen == [named(manifest)]
        for each in template_of(manifest)["spec"].get("topologySpreadConstraints", ()):
            assert each["labelSelector"] == manifest["spec"]["selector"]
    for service in of_kind(name, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        (made,) = [made for _, made in templates if selects(selector, labels_of(made))]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in port_names(made), named(service)
    for scaler in of_kind(name, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        (found,) = [each for each in of_kind(name, target["kind"]) if each["metadata"]["name"] == target["name"]]
        assert "replicas" not in found["spec"], "applying it again would undo what the autoscaler decided"
        assert scaler["spec"]["minReplicas"] == 3


@every
def test_the_proxy_sends_every_path_to_a_service_that_serves_it(name: str) -> None:
    (ingress,) = of_kind(name, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    services = {each["metadata"]["name"]: each for each in of_kind(name, "Service")}
    serves = {
        manifest["metadata"]["name"]: each["value"]
        for manifest, container in containers(name)
        for each in container.get("env", ())
        if each["name"] == "WEB_SERVES"
    }
    sent = {}
    for path in rule["http"]["paths"]:
        backend = path["backend"]["service"]
        assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["spec"]["ports"]}
        sent[path["path"]] = serves[backend["name"]]
    whole = {"/": "all"}
    assert sent == (whole if name == "small" else {"/admin": "console", "/static": "console", "/": "api"})
    (web_port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    for component in serves:
        (made,) = [template_of(each) for each in of_kind(name, "Deployment") if each["metadata"]["name"] == component]
        ports = {port["name"]: port["containerPort"] for port in made["spec"]["containers"][0]["ports"]}
        assert ports["http"] == int(web_port)


@every
def test_a_drained_node_takes_no_more_than_a_budget_allows(name: str) -> None:
    budgets = {each["metadata"]["name"]: each for each in of_kind(name, "PodDisruptionBudget")}
    for manifest in of_kind(name, "Deployment", "StatefulSet"):
        budget = budgets.pop(manifest["metadata"]["name"], None)
        reason = manifest["metadata"].get("annotations", {}).get(NO_BUDGET, "")
        assert (budget is None) == bool(reason), named(manifest)
        if budget is None:
            assert manifest["spec"]["replicas"] == 1, named(manifest)
        else:
            assert budget["spec"]["selector"] == manifest["spec"]["selector"]
            assert budget["spec"]["maxUnavailable"] == 1
    assert not budgets


@every
def test_every_pod_is_probed_or_says_why_not(name: str) -> None:
    for manifest in of_kind(name, "Deployment", "StatefulSet"):
        (container,) = template_of(manifest)["spec"]["containers"]
        reason = manifest["metadata"].get("annotations", {}).get(NO_LIVENESS, "")
        assert ("livenessProbe" in container) != bool(reason), named(manifest)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" in container.get(probe, {}):
                assert container[probe]["httpGet"]["port"] in port_names(template_of(manifest))


@every
def test_every_pod_serves_its_metrics_where_they_are_looked_for(name: str) -> None:
    port = settings_of(name)["METRICS_PORT"]
    for manifest in of_kind(name, "Deployment"):
        template = template_of(manifest)
        (container,) = template["spec"]["containers"]
        served = {each["containerPort"] for each in container["ports"] if each["name"] == "metrics"}
        assert served == {int(port)}, named(manifest)
        annotations = template["metadata"]["annotations"]
        assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": port}, named(manifest)
    for monitor in of_kind(name, "PodMonitor"):
        assert [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]


# --- no request is lost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ha", "air-gapped", EVERYTHING])
def test_web_rolls_without_losing_a_request(name: str) -> None:
    for component in ("web", "console"):
        (manifest,) = [each for each in of_kind(name, "Deployment") if each["metadata"]["name"] == component]
        assert manifest["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        spec = template_of(manifest)["spec"]
        (container,) = spec["containers"]
        waits, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
        assert waits == "sleep"
        grace = float(settings_of(name).get("SHUTDOWN_GRACE_SECONDS", "5"))
        stops_within = grace + serve.SETTLE_SECONDS + serve.COMPLETION_SECONDS
        assert spec["terminationGracePeriodSeconds"] > int(seconds) + stops_within + 5
        assert container["resources"] == {
            "requests": {"memory": "512Mi", "cpu": "500m"},
            "limits": {"memory": "1Gi", "cpu": "1000m"},
        }
        probes = {probe: container[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert [probe["httpGet"]["path"] for probe in probes.values()] == [
            "/health/live",
            "/health/live",
            "/health/ready",
        ]
        start = probes["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= 60


# --- connections -----------------------------------------------------------------------------------------------------


def test_the_guide_counts_enough_connections_for_the_largest_installation() -> None:
    (scaler,) = of_kind("ha", "HorizontalPodAutoscaler")
    replicas = {each["metadata"]["name"]: each["spec"].get("replicas") for each in of_kind("ha", "Deployment")}
    surge = 1
    web = (scaler["spec"]["maxReplicas"] + surge + replicas["console"] + surge) * startup.WEB_POOL_SIZE
    guide = Path(settings.BASE_DIR, "docs/guides/kubernetes.md").read_text()
    (told,) = re.findall(r"`max_connections` of at least (\d+)", guide)
    assert web + 50 <= int(told)
