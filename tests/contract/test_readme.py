"""The README's walk-through does what it says, command by command, against the real demonstration."""

import contextlib
import json
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
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "---- next block"
MAKE_DUE = """
UPDATE reservations_reservation SET expires_at = now() WHERE cart_id = 'cart-3';
UPDATE reservations_reservationitem SET held_until = now()
WHERE held_until IS NOT NULL AND reservation_id IN (SELECT id FROM reservations_reservation WHERE cart_id = 'cart-3')
"""


def _blocks() -> list[tuple[str, list[Any]]]:
    """The walk-through's commands, each with the answers it is said to print."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Walk through it")[1].split("\n## ")[0]
    found = re.findall(r"```bash\n(.*?)```(?:\n```json\n(.*?)```)?", section, re.DOTALL)
    return [(commands, list(_documents(answers))) for commands, answers in found]


def _documents(text: str) -> Iterator[Any]:
    """The JSON documents of a text, one after the other."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        yield document
        text = text[end:].strip()


def _is_as_said(said: Any, got: Any) -> bool:
    """Whether an answer has at least what is said of it; … stands for anything, and seconds may have passed."""
    if isinstance(said, dict):
        return isinstance(got, dict) and all(
            name in got and (_is_as_said(value, got[name]) or (name == "expiresInSeconds" and value - 5 < got[name]))
            for name, value in said.items()
        )
    if isinstance(said, list):
        return isinstance(got, list) and len(said) == len(got) and all(map(_is_as_said, said, got))
    if isinstance(said, str):
        return isinstance(got, str) and fnmatchcase(got, said.replace("…", "*"))
    return bool(said == got)


@pytest.fixture
def demo() -> Iterator[tuple[int, Path]]:
    """A demonstration of its own: its port and data folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    data_dir = Path(tempfile.mkdtemp())
    data_dir.chmod(0o711)
    environment = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL", "MAKELEVEL"}}
    environment |= {"PORT": str(port), "DATA_DIR": str(data_dir), "DEBUG": "true"}
    with (data_dir / "output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.demo"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
        try:
            deadline = time.monotonic() + 60
            while "Ready at" not in (data_dir / "output").read_text(encoding="utf-8"):
                assert process.poll() is None, (data_dir / "output").read_text(encoding="utf-8")
                assert time.monotonic() < deadline, (data_dir / "output").read_text(encoding="utf-8")
                time.sleep(0.1)
            yield port, data_dir
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
            shutil.rmtree(data_dir, ignore_errors=True)


def _make_due(data_dir: Path) -> None:
    """A minute passes for cart-3: its rows are moved, not the clock."""
    status = json.loads((data_dir / "embedded.json").read_text(encoding="utf-8"))
    with contextlib.closing(
        psycopg.connect(host=status["socket_dir"], user=status["user"], dbname=status["database"], autocommit=True)
    ) as connection:
        connection.execute(MAKE_DUE)


def test_walk_through_answers_as_the_readme_says(demo: tuple[int, Path], tmp_path: Path) -> None:
    port, data_dir = demo
    blocks = _blocks()
    assert len(blocks) >= 8
    script = f"\necho '{MARK}'\n".join(commands for commands, _ in blocks)
    assert "sleep 61" in script
    script = script.replace(
        "sleep 61", 'touch "$DATA_DIR/a-minute" && while [ -e "$DATA_DIR/a-minute" ]; do sleep 0.1; done'
    )
    script = script.replace(".venv/bin/python", f'"{sys.executable}"').replace(
        "/tmp/hold.json", str(tmp_path / "hold.json")
    )
    if shutil.which("curl") is None:
        script = f'curl() {{ "{sys.executable}" -m tests.contract.curl "$@"; }}\n' + script
    walk = subprocess.Popen(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (data_dir / "a-minute").exists() and walk.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    _make_due(data_dir)
    (data_dir / "a-minute").unlink(missing_ok=True)
    output, _ = walk.communicate(timeout=60)
    assert walk.returncode == 0, output
    printed = [list(_documents(part)) for part in output.split(MARK)]
    for (commands, said), got in zip(blocks, printed, strict=True):
        assert len(said) == len(got), f"{commands}\nprinted {got}"
        for one_said, one_got in zip(said, got, strict=True):
            assert _is_as_said(one_said, one_got), f"{commands}\nsaid    {one_said}\nprinted {one_got}"
