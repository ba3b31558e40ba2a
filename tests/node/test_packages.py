"""Packages are installed once, from the lock alone; what is missing is said, and fails in CI."""

import json
from pathlib import Path

import pytest

from tests import node
from tests.node import HERE, Missing, installed, lint


def test_the_lock_pins_everything_and_names_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all("resolved" not in package and package["integrity"] for package in packages.values())
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        (None, "is not installed"),
        ("v18.20.4", "`node --version` is v18.20.4"),
        ("", "is silent"),
        ("v20.9.0", "v20.9.0"),
    ],
)
def test_a_missing_or_old_node_is_named_and_fails_in_ci(
    printed: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if printed is not None:
        for name in ("node", "npm"):
            (tmp_path / name).write_text(f"#!/bin/sh\necho {printed}\n")
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"Node 20\.19 or later") as missing:
        installed()
    assert message in str(missing.value)
    monkeypatch.delenv("CI_RUN", raising=False)
    assert lint.main(lint.DOCUMENT) == 0
    assert capsys.readouterr().out == f"openapi.yaml was not checked by Spectral and Redocly: {missing.value}\n"
    monkeypatch.setenv("CI_RUN", "1")
    assert lint.main(lint.DOCUMENT) == 1


def test_a_failed_installation_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, var = tmp_path / "bin", tmp_path / "var"
    programs.mkdir()
    for name, script in {"node": "echo v20.20.0", "npm": "echo no such version >&2; exit 1"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(node, "VAR", var)
    with pytest.raises(Missing, match=r"npm could not install the packages \(no such version\)"):
        installed()
    assert [path.name for path in var.iterdir()] == ["node.lock"]


@pytest.mark.usefixtures("_node")
def test_each_linter_finds_an_error(tmp_path: Path) -> None:
    document = tmp_path / "openapi.yaml"
    document.write_text('openapi: 3.1.0\ninfo: {title: "", version: "1"}\npaths: {/a: {get: {responses: {}}}}\n')
    found = lint.findings(document)
    assert "operation-operationId" in found  # Of Spectral.
    assert "no-empty-servers" in found  # Of Redocly.
