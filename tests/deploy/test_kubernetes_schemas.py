"""kustomize renders every overlay, and every object of it is valid, strictly, for old and new Kubernetes."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import jsonschema_rs
import pytest
import yaml

from tests.deploy.rendering import RENDERED, Manifest, build, rendered, rendered_text, validators

VERSIONS: Final = ("1.29", "1.37")
WITHOUT_SCHEMA: Final = {"PodMonitor"}
"""Kinds that Kubernetes itself doesn't have."""


def folder_of(version: str) -> Path:
    """The schemas of a version that refuse unknown fields."""
    return validators() / f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"


@cache
def definitions(version: str) -> jsonschema_rs.Registry:
    content = json.loads((folder_of(version) / "_definitions.json").read_text())
    return jsonschema_rs.Registry([(content["$id"], content)], draft=jsonschema_rs.Draft202012)


@cache
def validator(version: str, api_version: str, kind: str) -> jsonschema_rs.Draft202012Validator:
    """The validator of a kind. Its file is named for its group's first word, as networkpolicy-networking-v1.json."""
    group, _, number = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.split(".")[0], number) if part)
    schema = json.loads((folder_of(version) / f"{name}.json").read_text())
    return jsonschema_rs.Draft202012Validator(schema, registry=definitions(version))


def problems(manifests: list[Manifest]) -> Iterator[str]:
    """What the schemas have against objects: one line each."""
    for version in VERSIONS:
        for each in manifests:
            if each["kind"] not in WITHOUT_SCHEMA:
                for error in validator(version, each["apiVersion"], each["kind"]).iter_errors(each):
                    where = "/".join(map(str, error.instance_path))
                    yield f"{each['kind']} {each['metadata']['name']}, {version}: {where}: {error.message}"


@pytest.mark.parametrize("name", RENDERED)
def test_every_object_is_valid(name: str) -> None:
    assert len(rendered(name)) > 20
    assert list(problems(rendered(name))) == []


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("    terminationGracePeriodSeconds: 60\n", "    terminationGracePeriodSecond: 60\n", "PeriodSecond'"),
        ("  minReadySeconds: 5\n", "  minReadySeconds: '5'\n", "minReadySeconds"),
        ("  scaleTargetRef:\n", "  scaleTarget:\n", "scaleTargetRef"),
    ],
)
def test_what_is_wrong_is_found(right: str, wrong: str, told: str) -> None:
    text = rendered_text("ha")
    assert right in text
    manifests = list(yaml.safe_load_all(text.replace(right, wrong)))
    assert any(told in line for line in problems(manifests))


def test_what_kustomize_cannot_render_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [none.yaml]\n")
    with pytest.raises(subprocess.CalledProcessError):
        build(tmp_path)
