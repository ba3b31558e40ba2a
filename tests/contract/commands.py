"""Checks commands in documents: the program, the files, the targets and the options must exist."""

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml
from django.core.management import CommandError, get_commands, load_command_class

from tests.contract.examples import ROOT

_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=")
_SUBSTITUTION: Final = re.compile(r"\$\([^()]*\)")
_ROUTE: Final = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE) /\S*")
_PYTHON: Final = re.compile(r"(?:\.venv/bin/)?python[0-9.]*")
_BRACKETS: Final = str.maketrans("", "", "[]…")


class Unknown(Exception):
    """A command that doesn't exist as it is written."""


def check_command(command: str) -> None:
    """Raise Unknown unless every part of a command line exists."""
    _check(shlex.split(_SUBSTITUTION.sub("…", command)), _parse_options)


def check_inline(code: str) -> None:
    """Check code within a sentence, which may omit values: ``manage.py reconcile --repair --reason …``."""
    if _ROUTE.match(code):
        _check_route(code)
    elif code.startswith(("make ", "manage.py ", "docker compose ", ".venv/bin/")) and " " in code:
        _check(code.translate(_BRACKETS).split(), _look_up_options)


def _check(words: Sequence[str], check_options: Callable[[str, Sequence[str]], None]) -> None:
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    match list(words):
        case (
            []
            | ["set", "-e"]
            | ["psql", "--username", "inventory"]
            | ["docker", "push" | "pull" | "tag" | "save" | "load" | "image" | "run", *_]
            | ["pg_dump" | "kustomize" | "skopeo" | "curl" | "openssl" | "done" | "pg_restore", *_]
        ):
            pass
        case ["kubectl" | "for", *_]:
            _check_cluster(list(words), check_options)
        case ["make", target, *variables]:
            _check_make(target, variables)
        case ["manage.py", name, *options]:
            check_options(name, options)
        case [program, *arguments] if _PYTHON.fullmatch(program):
            _check_python(arguments, check_options)
        case [".venv/bin/pip" | "cp" | "rm", *_]:
            _check_files(list(words))
        case [".venv/bin/celery", *_]:
            _check_help(words)
        case ["docker", "compose", *arguments]:
            _check_compose(arguments, check_options)
        case _:
            raise Unknown(f"no test covers {' '.join(words)}")


def _check_python(arguments: Sequence[str], check_options: Callable[[str, Sequence[str]], None]) -> None:
    match list(arguments):
        case []:
            pass  # What a command begins with.
        case ["manage.py", name, *options]:
            check_options(name, options)
        case ["-m", module, *_]:
            _require(importlib.util.find_spec(module), f"no module {module}")
        case _:
            raise Unknown(f"no test covers python {' '.join(arguments)}")


def _check_compose(arguments: Sequence[str], check_options: Callable[[str, Sequence[str]], None]) -> None:
    match list(arguments):
        case ["exec", service, *inner]:
            _require(service in _compose()["services"], f"no service {service}")
            if inner:
                _check(inner, check_options)
        case ["--profile", profile, *more]:
            known = {name for service in _compose()["services"].values() for name in service.get("profiles", ())}
            _require(profile in known, f"no profile {profile}")
            _check_compose(more, check_options)
        case ["ps"]:
            pass
        case ["restart", *services] | ["logs", "--since" | "--tail", _, *services]:
            unknown = set(services) - set(_compose()["services"])
            _require(not unknown, f"no service {unknown}")
        case ["up", *options]:
            _require({*options} <= {"--build", "--detach"} and _compose(), f"no test covers {options}")
        case _:
            raise Unknown(f"no test covers docker compose {' '.join(arguments)}")


def _check_files(words: Sequence[str]) -> None:
    match words:
        case ["rm", "-r", folder]:
            _require(folder == "var" or folder.startswith("var/"), f"{folder} is not what the demonstration wrote")
        case (
            [".venv/bin/pip", "install", "--require-hashes", "-r", source] | ["cp", source, _] | ["cp", "-r", source, _]
        ):
            _require((ROOT / source).exists(), f"no file {source}")
        case _:
            raise Unknown(f"no test covers {' '.join(words)}")


def _check_cluster(words: Sequence[str], check_options: Callable[[str, Sequence[str]], None]) -> None:
    """Check that deployments, jobs and folders exist, and the command that is run in a pod or in a loop."""
    end = next((index for index, word in enumerate(words) if word in {"--", "do"}), len(words))
    _check(words[end + 1 :], check_options)
    outer = [word.rstrip(";") for word in words[:end]]
    if outer[0] == "for":
        unknown = {word for word in outer[3:] if ":" not in word} - _deployments()  # The others are images.
        _require(not unknown, f"no deployment {unknown}")
    for before, word in pairwise(outer):
        kind, _, name = word.partition("/")
        if kind == "deployment" and name not in {"", "$name"}:
            _require(name in _deployments(), f"no deployment {name}")
        elif before == "job" or (kind == "job" and name):
            _require((ROOT / "deploy" / "kubernetes" / "base" / f"{name or word}.yaml").exists(), f"no job {word}")
        elif before == "-k" and word != "deploy/kubernetes/overlays/own":  # The guide says how to make that one.
            _require((ROOT / word / "kustomization.yaml").exists(), f"no folder {word}")


@cache
def _deployments() -> frozenset[str]:
    documents = (
        document
        for file in (ROOT / "deploy" / "kubernetes").rglob("*.yaml")
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    )
    return frozenset(each["metadata"]["name"] for each in documents if each and each.get("kind") == "Deployment")


def _check_help(words: Sequence[str]) -> None:
    """Run the program with ``--help``: it refuses unknown options before it prints its help."""
    program = Path(sys.prefix, "bin", Path(words[0]).name)
    asked = subprocess.run([program, *words[1:], "--help"], capture_output=True, text=True, timeout=60, check=False)
    _require(asked.returncode == 0, f"{' '.join(words)}: {asked.stderr}")


def _require(found: Any, message: str) -> None:
    if not found:
        raise Unknown(message)


def _check_make(target: str, variables: Sequence[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    _require(re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"no target {target}")
    for variable in variables:
        name = variable.partition("=")[0]
        is_known = re.search(rf"\b{re.escape(name)}\b", makefile) or name in _variables()
        _require(is_known, f"the Makefile knows no {name}")


@cache
def _variables() -> frozenset[str]:
    """The variables of the environment, which make passes on."""
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))


def _parser_of(name: str) -> argparse.ArgumentParser:
    app = get_commands().get(name)
    _require(app, f"no command {name}")
    command = load_command_class(app, name) if isinstance(app, str) else app
    return command.create_parser("manage.py", name)


def _parse_options(name: str, options: Sequence[str]) -> None:
    try:
        _parser_of(name).parse_args(options)
    except (CommandError, SystemExit) as error:
        raise Unknown(f"manage.py {name}: {error}") from error


def _look_up_options(name: str, options: Sequence[str]) -> None:
    known = set(re.findall(r"--[\w-]+", _parser_of(name).format_help()))
    for option in options:
        _require(not option.startswith("--") or option in known, f"manage.py {name} has no option {option}")


@cache
def _compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


@cache
def all_routes() -> frozenset[str]:
    """The routes of the API, such as ``POST /inventory/reserve``."""
    document = yaml.load(
        (ROOT / "docs" / "reference" / "openapi.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return frozenset(f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item)


def _check_route(code: str) -> None:
    """Paths are below /api/v1; a parameter may have any name. Probes of health and metrics aren't part of the API."""
    route = re.sub(r"\{\w+\}", "{}", code.partition("?")[0].replace(" ", " /api/v1", 1))
    known = {re.sub(r"\{\w+\}", "{}", each) for each in all_routes()}
    _require(route in known or code.startswith(("GET /health/", "GET /metrics")), f"no route {code}")
