"""The overlays of deploy/kubernetes, rendered by kubectl, and the programs that this needs."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn
from uuid import uuid4

import pytest
import yaml
from django.conf import settings

KUBERNETES: Final = Path(settings.BASE_DIR, "deploy/kubernetes")
OVERLAYS: Final = ("small", "ha", "air-gapped")
EVERYTHING: Final = "everything"
"""The base with all components, whichever overlay has them."""
RENDERED: Final = (*OVERLAYS, EVERYTHING)
_VALIDATORS: Final = Path(__file__).with_name("validators.txt")
_OLDEST_KUSTOMIZE: Final = 5

Manifest = dict[str, Any]


def give_up(why: str) -> NoReturn:
    """Skip the test; fail it in CI."""
    without = pytest.fail if "CI_RUN" in os.environ else pytest.skip
    without(f"{why}: deploy/kubernetes is not tested")


@cache
def validators() -> Path:
    """The folder of the packages of validators.txt, installed below ``var`` if they are not there yet."""
    pinned = hashlib.sha256(_VALIDATORS.read_bytes()).hexdigest()[:16]
    folder = Path(settings.BASE_DIR, "var", f"kubernetes-{pinned}")
    if not folder.exists():
        made = folder.with_name(f"{folder.name}-{uuid4()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--requirement", os.fspath(_VALIDATORS), "--target", os.fspath(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            shutil.rmtree(made, ignore_errors=True)
            give_up(f"pip could not install the schemas of Kubernetes ({done.stderr.strip()[:500]})")
        try:
            made.rename(folder)
        except OSError:  # Another process was faster.
            shutil.rmtree(made)
    return folder


@cache
def kubectl() -> str:
    """The kubectl of this machine if it knows components, patches with targets and labels, or else the pinned one."""
    found = shutil.which("kubectl")
    if found:
        version = subprocess.run([found, "version", "--client"], capture_output=True, text=True, check=False).stdout
        major = re.search(r"Kustomize Version: v(\d+)", version)
        if major and int(major[1]) >= _OLDEST_KUSTOMIZE:
            return found
    pinned = validators() / "bin" / "kubectl"
    if not pinned.exists():
        give_up("There is no kubectl with kustomize 5 or later")
    return os.fspath(pinned)


def build(folder: Path) -> str:
    """A folder's manifests as YAML. Raises CalledProcessError, with what kustomize says on stderr."""
    command = [kubectl(), "kustomize", os.fspath(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@cache
def rendered_text(name: str) -> str:
    """An overlay's manifests, or those of the base with every component."""
    if name in OVERLAYS:
        return build(KUBERNETES / "overlays" / name)
    folder = Path(settings.BASE_DIR, "var", f"kubernetes-{uuid4()}")
    folder.mkdir(parents=True)
    root = os.path.relpath(KUBERNETES, folder)
    components = sorted(each.name for each in (KUBERNETES / "components").iterdir() if each.name != "release")
    # The release comes last, as the overlays have it.
    names = [f"{root}/components/{each}" for each in (*components, "release")]
    whole = {"namespace": "inventory", "resources": [f"{root}/base"], "components": names}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    try:
        return build(folder)
    finally:
        shutil.rmtree(folder)


@cache
def rendered(name: str) -> list[Manifest]:
    """An overlay's objects, in the order of kustomize."""
    return list(yaml.safe_load_all(rendered_text(name)))


def of_kind(name: str, *kinds: str) -> list[Manifest]:
    """An overlay's objects of some kinds."""
    return [each for each in rendered(name) if each["kind"] in kinds]


def template_of(manifest: Manifest) -> Manifest:
    """The pod template of a Deployment, a StatefulSet, a Job or a CronJob."""
    spec = manifest["spec"]
    template: Manifest = (spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec)["template"]
    return template


def workloads(name: str) -> Iterator[tuple[Manifest, Manifest]]:
    """Each object of an overlay that makes pods, with its pod template."""
    for manifest in of_kind(name, "Deployment", "StatefulSet", "Job", "CronJob"):
        yield manifest, template_of(manifest)


def containers(name: str) -> Iterator[tuple[Manifest, Manifest]]:
    """Each container of an overlay, also those that run first, with the object that makes its pods."""
    for manifest, template in workloads(name):
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield manifest, container


def is_ours(container: Manifest) -> bool:
    """Whether a container runs the service's own image."""
    return "inventory-reservation" in container["image"]


def settings_of(name: str) -> dict[str, str]:
    """The settings of an overlay, as its ConfigMap has them."""
    (found,) = [each["data"] for each in of_kind(name, "ConfigMap") if each["metadata"]["name"].startswith("settings-")]
    return dict(found)


def example_secrets() -> dict[str, str]:
    """What secret.env.example has."""
    lines = (KUBERNETES / "secret.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def named(manifest: Manifest) -> str:
    """An object's kind and name, for messages."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector matches."""
    expressions = {"In": lambda value, values: value in values, "NotIn": lambda value, values: value not in values}
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        expressions[each["operator"]](labels.get(each["key"]), each["values"])
        for each in selector.get("matchExpressions", ())
    )


def labels_of(template: Manifest) -> dict[str, str]:
    """The labels of a template's pods."""
    labels: dict[str, str] = template["metadata"]["labels"]
    return labels


def port_names(template: Manifest) -> set[str]:
    """The names of the ports of a template's containers."""
    return {port["name"] for each in template["spec"]["containers"] for port in each.get("ports", ())}
