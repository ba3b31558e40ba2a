"""The settings refuse to start a service that would not be safe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import settings

COMPLETE = {
    "DATABASE_URL": "postgres://u:p@db.example/stock",
    "REDIS_URL": "redis://redis.example",
    "SECRET_KEY": "s" * 60,
    "ALLOWED_HOSTS": "shop.example,stock.example",
}
PROGRAM = """
import json
from config import settings
names = ("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "CELERY_BROKER_URL", "SESSION_COOKIE_SECURE")
print(json.dumps({name: getattr(settings, name, None) for name in names}))
"""


def start(tmp_path: Path, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process with exactly these variables on top of the complete ones."""
    given = {name: value for name, value in {**COMPLETE, **variables}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=settings.BASE_DIR,
        env={"PATH": os.defpath, "DATA_DIR": str(tmp_path / "data"), **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def loaded(tmp_path: Path, **variables: str | None) -> dict[str, Any]:
    done = start(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_without_what_safety_needs_nothing_starts(tmp_path: Path, name: str, value: str | None) -> None:
    done = start(tmp_path, **{name: value})
    assert done.returncode != 0
    assert f"{name} is not set" in done.stderr
    assert not (tmp_path / "data").exists()


def test_outside_debug_no_embedded_database_is_started(tmp_path: Path) -> None:
    done = start(tmp_path, DEBUG="false", DATABASE_URL=None)
    assert done.returncode != 0
    assert "DATABASE_URL is not set" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_database_of_its_own_means_production(tmp_path: Path) -> None:
    values = loaded(tmp_path)
    assert values["DEBUG"] is False
    assert values["SESSION_COOKIE_SECURE"] is True
    assert values["SECRET_KEY"] == COMPLETE["SECRET_KEY"]


def test_hosts_are_separated_by_commas_whatever_the_spaces(tmp_path: Path) -> None:
    assert loaded(tmp_path, ALLOWED_HOSTS=" shop.example, stock.example ,")["ALLOWED_HOSTS"] == [
        "shop.example",
        "stock.example",
    ]


def test_a_developers_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = loaded(tmp_path, DEBUG="true", SECRET_KEY=None)
    assert len(first["SECRET_KEY"]) > 50
    assert loaded(tmp_path, DEBUG="true", SECRET_KEY=None) == first


def test_socket_url_is_translated_for_celery(tmp_path: Path) -> None:
    values = loaded(tmp_path, REDIS_URL="unix:///run/redis.sock")
    assert values["CELERY_BROKER_URL"] == "redis+socket:///run/redis.sock"
