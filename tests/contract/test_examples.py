"""Every example of README, the first steps and the guides does what the page says, against the real demonstration."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import commands, examples
from tests.contract.examples import PAGES, ROOT, Step, Untested

MARK = "---- next block"
PATIENCE_SECONDS = 90
README_LINES = 130
WITHOUT_EXAMPLES = {"staff.md", "logs.md", "trace.md", "kubernetes.md", "clients.md"}
"""Guides whose commands need a person, a collector, a cluster or Node; their ``shell`` blocks are checked in part."""

names = {page: page.relative_to(ROOT).as_posix() for page in PAGES}
every_page = pytest.mark.parametrize("page", PAGES, ids=list(names.values()))


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A copy of the repository in which `make demo` runs, on a port and with a data folder that are not the default."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="examples "))
    # The servers may run under another account, which needs access to the folder.
    folder.chmod(0o711)
    clone, output = folder / "a clone", folder / "output"
    shutil.copytree(
        ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", "var", ".*cache", ".hypothesis")
    )
    (clone / ".venv").symlink_to(sys.prefix)
    command = ["make", "--old-file=.venv/.requirements.lock", "demo", f"PORT={port}", f"DATA_DIR={folder / 'its data'}"]
    with output.open("wb") as log:
        process = subprocess.Popen(command, cwd=clone, env=_environment(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Ready at" not in output.read_text(encoding="utf-8"):
            assert process.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            time.sleep(0.1)
        yield clone
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    """The environment of a new terminal, without PORT and DATA_DIR. Durability is off."""
    return {"PATH": os.environ["PATH"], "EMBEDDED_POSTGRES_OPTIONS": "-c fsync=off"}


def _script(steps: list[Step]) -> str:
    """All steps for one shell, each followed by a line with its exit status."""
    script = "".join(f"{step.commands}\nprintf '\\n%s %s\\n' '{MARK}' $?\n" for step in steps)
    script = script.replace("sleep 61", '.venv/bin/python -m tests.contract.minute "$DEMO_DATA_DIR"')
    if shutil.which("curl") is None:
        script = f'curl() {{ .venv/bin/python -m tests.contract.curl "$@"; }}\n{script}'
    return script


@every_page
def test_examples_print_what_the_page_says(page: Path, clone: Path) -> None:
    steps = examples.read(page.read_text(encoding="utf-8")).steps
    if not steps:
        assert page.name in WITHOUT_EXAMPLES or page.parent.name == "runbooks", (
            f"{names[page]} has no example that runs"
        )
        return
    ran = subprocess.run(
        ["bash", "-c", _script(steps)],
        cwd=clone,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    printed = re.split(rf"\n{MARK} (\d+)\n", ran.stdout)
    assert len(printed) == 2 * len(steps) + 1, ran.stdout
    for step, output, status in zip(steps, printed[::2], printed[1::2], strict=False):
        assert status == "0", f"line {step.line} ended with {status}: {step.commands}\n{output}"
        assert (difference := step.difference(output)) is None, f"{names[page]}, {difference}"


@every_page
def test_commands_and_routes_that_are_named_exist(page: Path) -> None:
    found = examples.read(page.read_text(encoding="utf-8"))
    for command in found.named:
        commands.check_command(command)
    for code in found.inline:
        commands.check_inline(code)


@every_page
def test_commands_of_examples_send_a_key(page: Path) -> None:
    found = examples.read(page.read_text(encoding="utf-8"))
    sent = [call for text in (*(step.commands for step in found.steps), *found.named) for call in changing_calls(text)]
    assert [call for call in sent if "Idempotency-Key: " not in call] == []


def changing_calls(text: str) -> list[str]:
    """The calls of a text of commands that change something, and take an ``Idempotency-Key``."""
    calls = re.split(r"(?=\bapi [A-Z]+ |\bcurl )", re.sub(r"^api\(\).*", "", text, flags=re.MULTILINE))
    changing = [
        call for call in calls if re.match(r"api (POST|PUT|PATCH|DELETE) |curl .*-X (POST|PUT|PATCH|DELETE) ", call)
    ]
    return [call for call in changing if not re.search(r"check-availability|dryRun=true|\binbox\b", call)]


def test_calls_without_a_key_are_found() -> None:
    text = "api() { curl -X POST; }\napi GET a\napi POST inventory/reserve -d '{'\napi POST inbox\ncurl -sS -X PUT http://x"
    assert changing_calls(text) == ["api POST inventory/reserve -d '{'\n", "curl -sS -X PUT http://x"]


def test_readme_is_short_and_walks_five_calls() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES
    calls = [step for step in examples.read(text).steps if step.output_kind == "json"]
    assert len(calls) == 5
    assert all(re.search(r"^[2-5]\d\d$", step.output, re.MULTILINE) for step in calls), "a call without its status code"


# ------------------------------------------------------------------------------------------------- negative controls


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```",
        "```typescript\nconst client = 1;\n```",
        "```\nanything\n```",
        "```json\n{}\n```",
        "```bash\necho 1\n```\n```text\n1\n```\n```text\n1\n```",
        "1. A step:\n\n   ```http\n   GET /\n   ```",
        "A paragraph.\n\n    indented code\n",
        "<pre>GET /</pre>",
    ],
)
def test_block_that_nothing_runs_or_checks_is_refused(text: str) -> None:
    with pytest.raises(Untested):
        examples.read(text)


@pytest.mark.parametrize(
    ("page", "printed", "agree"),
    [
        ('{"a": "res-…", "b": [1]}\n200', '{"a":"res-1","b":[1]}\n200\n', True),
        ('{"a": 1}\n200', '{"a": 1, "b": 2}\n200', False),
        ('{"a": 1, "b": 2}\n200', '{"a": 1}\n200', False),
        ('{"a": 1}\n200', '{"a": 1}\n201', False),
        ('{"a": 1}', '{"a": 1} {"a": 1}', False),
        ('{"a": 1}', '{"a": true}', False),
        ('{"expiresInSeconds": 900}', '{"expiresInSeconds": 897}', True),
        ('{"expiresInSeconds": 900}', '{"expiresInSeconds": 840}', False),
    ],
)
def test_answer_is_compared_field_by_field(page: str, printed: str, agree: bool) -> None:
    assert (Step(1, "", page, "json").difference(printed) is None) is agree


def test_printed_text_is_compared_to_the_letter() -> None:
    step = Step(1, "", "2 lines of …: done.\n")
    assert step.difference("2 lines of stock.csv: done.\n") is None
    assert step.difference("3 lines of stock.csv: done.\n") is not None


@pytest.mark.parametrize(
    "command",
    [
        "make tea",
        "make demo TEAPOT=1",
        ".venv/bin/python manage.py brew",
        ".venv/bin/python manage.py reconcile --brew",
        ".venv/bin/python manage.py import_stock",
        ".venv/bin/python -m config.teapot",
        "docker compose exec teapot python manage.py reconcile",
        "docker compose logs --tail 100 web teapot",
        "docker compose restart teapot",
        "docker compose exec worker python manage.py brew",
        "cp .env.teapot .env",
        "rm -r docs",
        "kubectl apply -k deploy/kubernetes/overlays/teapot",
        "kubectl -n inventory scale --replicas=3 deployment/teapot",
        "kubectl -n inventory delete job teapot --ignore-not-found",
        "kubectl -n inventory exec deployment/worker -c inventory -- python manage.py brew",
        "for name in web teapot; do kubectl -n inventory rollout status deployment/$name; done",
        "for name in web; do kubectl -n inventory rollout restart deployment/teapot; done",
        "teapot",
    ],
)
def test_command_that_does_not_exist_is_refused(command: str) -> None:
    with pytest.raises(commands.Unknown):
        commands.check_command(command)


@pytest.mark.parametrize("code", ["make tea", "manage.py reconcile [--brew]", "POST /inventory/brew", "PUT /stores"])
def test_inline_code_that_does_not_exist_is_refused(code: str) -> None:
    with pytest.raises(commands.Unknown):
        commands.check_inline(code)


def test_what_exists_is_accepted() -> None:
    for command in (
        "make demo PORT=8001 DATA_DIR=var/second",
        "docker compose exec web python manage.py reconcile",
        "docker compose logs --since 15m sweeper beat",
        "docker compose restart beat",
    ):
        commands.check_command(command)
    for code in ("manage.py reconcile [--repair --reason …]", "PUT /inventory/carts/{cartId}", "`nothing` like it"):
        commands.check_inline(code)
