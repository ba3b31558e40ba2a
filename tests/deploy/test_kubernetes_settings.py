"""The settings and secrets of deploy/kubernetes: names that exist, examples that nothing starts with."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
import yaml
from django.conf import settings

from config import startup
from tests.deploy.rendering import (
    KUBERNETES,
    OVERLAYS,
    RENDERED,
    build,
    containers,
    example_secrets,
    is_ours,
    named,
    of_kind,
    settings_of,
    template_of,
)

SERVERS: Final = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
"""Keys of the Secret that the overlay small's own servers read."""

every = pytest.mark.parametrize("name", RENDERED)


def documented() -> set[str]:
    page = Path(settings.BASE_DIR, "docs/reference/configuration.md").read_text()
    return set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))


@every
def test_every_setting_exists(name: str) -> None:
    known = documented()
    assert settings_of(name).keys() <= known
    assert example_secrets().keys() <= known
    for manifest, container in containers(name):
        if not is_ours(container):
            continue
        assert {each["name"] for each in container.get("env", ())} <= known, named(manifest)
        sources = [source for each in container["envFrom"] for source in each.values()]
        (config,) = [each for each in of_kind(name, "ConfigMap") if each["metadata"]["name"].startswith("settings-")]
        assert [each["name"] for each in sources] == [config["metadata"]["name"], "inventory-secrets"]
        assert not any(each.get("optional") for each in sources), "a pod without its settings must not start"


@every
def test_every_key_that_is_read_from_the_secret_is_documented(name: str) -> None:
    for manifest, container in containers(name):
        for each in container.get("env", ()):
            if "valueFrom" in each:
                source = each["valueFrom"]["secretKeyRef"]
                assert source["name"] == "inventory-secrets"
                assert source["key"] in example_secrets().keys() | SERVERS, named(manifest)


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_starts_with_the_examples(name: str) -> None:
    values = {**settings_of(name), **example_secrets()}
    done = subprocess.run(
        [sys.executable, "-c", "from config import settings"],
        cwd=settings.BASE_DIR,
        env=values,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode
    for key in ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "EMAIL_HOST_PASSWORD"):
        assert f"{key} still has the placeholder {startup.PLACEHOLDER}" in done.stderr


def test_the_service_starts_with_the_secrets_that_the_guide_makes(tmp_path: Path) -> None:
    guide = Path(settings.BASE_DIR, "docs/guides/kubernetes.md").read_text()
    (script,) = [block for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) if "random()" in block]
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True, timeout=60)
    made = dict(line.split("=", 1) for line in (tmp_path / "secret.env").read_text().splitlines())
    assert made.keys() >= SERVERS
    done = subprocess.run(
        [sys.executable, "-c", "from config import settings"],
        cwd=settings.BASE_DIR,
        env={**settings_of("small"), **made, "ALLOWED_HOSTS": "stock.example"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_setting_of_an_overlay_reaches_pods_and_proxy_and_makes_new_pods() -> None:
    own = Path(settings.BASE_DIR, "var", f"kubernetes-{uuid4()}")
    own.mkdir(parents=True)
    try:
        text = (KUBERNETES / "overlays/ha/kustomization.yaml").read_text().replace("../../", "../../deploy/kubernetes/")
        for file in (KUBERNETES / "overlays/ha").iterdir():
            (own / file.name).write_text(file.read_text())
        (own / "kustomization.yaml").write_text(text.replace("namespace: inventory\n", "namespace: shop\n"))
        (own / "settings.env").write_text("ALLOWED_HOSTS=stock.example,api.stock.example\nDRAFT_DAYS=7\n")
        made = list(yaml.safe_load_all(build(own)))
    finally:
        for file in own.iterdir():
            file.unlink()
        own.rmdir()
    (ingress,) = [each for each in made if each["kind"] == "Ingress"]
    assert ingress["spec"]["rules"][0]["host"] == ingress["spec"]["tls"][0]["hosts"][0] == "stock.example"
    (config,) = [each for each in made if each["kind"] == "ConfigMap"]
    assert config["data"]["DRAFT_DAYS"] == "7"
    assert config["metadata"]["name"] != of_kind("ha", "ConfigMap")[0]["metadata"]["name"]
    assert {each["metadata"]["namespace"] for each in made if each["kind"] != "Namespace"} == {"shop"}
    deployments = [template_of(each) for each in made if each["kind"] == "Deployment"]
    read = {
        source["configMapRef"]["name"]
        for template in deployments
        for source in template["spec"]["containers"][0]["envFrom"]
        if "configMapRef" in source
    }
    assert read == {config["metadata"]["name"]}
