"""The settings refuse to start a service that would not be safe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import settings, startup

COMPLETE = {
    "DATABASE_URL": "postgres://u:p@db.example/stock",
    "REDIS_URL": "redis://redis.example",
    "SECRET_KEY": "0123456789" * 6,
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
    first = loaded(tmp_path, DEBUG="true", SECRET_KEY=None, ALLOWED_HOSTS=None)
    assert len(first["SECRET_KEY"]) > 50
    assert loaded(tmp_path, DEBUG="true", SECRET_KEY=None, ALLOWED_HOSTS=None) == first


def test_socket_url_is_translated_for_celery(tmp_path: Path) -> None:
    values = loaded(tmp_path, REDIS_URL="unix:///run/redis.sock")
    assert values["CELERY_BROKER_URL"] == "redis+socket:///run/redis.sock"


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "EMAIL_HOST_PASSWORD"])
def test_placeholder_is_refused_wherever_it_stands(tmp_path: Path, name: str) -> None:
    done = start(tmp_path, **{name: f"postgres://u:{startup.PLACEHOLDER}@db.example/{'x' * 60}"})
    assert done.returncode != 0
    assert f"{name} still has the placeholder replace-me" in done.stderr


@pytest.mark.parametrize("key", ["0123456789" * 4 + "012345678", "s" * 60])
def test_key_that_can_be_guessed_is_refused(tmp_path: Path, key: str) -> None:
    done = start(tmp_path, SECRET_KEY=key)
    assert done.returncode != 0
    assert "SECRET_KEY can be guessed" in done.stderr


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    done = start(tmp_path, SECRET_KEY="short", ALLOWED_HOSTS=None, REDIS_URL="redis://:replace-me@redis.example")
    for fault in ("SECRET_KEY can be guessed", "ALLOWED_HOSTS is not set", "REDIS_URL still has the placeholder"):
        assert fault in done.stderr
    assert not (tmp_path / "data").exists()


def test_values_of_the_example_are_refused(tmp_path: Path) -> None:
    example = dict(
        line.split("=", 1)
        for line in (settings.BASE_DIR / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(example) >= {"SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "ALLOWED_HOSTS"}
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert startup.PLACEHOLDER in example[name]
    assert "SECRET_KEY still has the placeholder" in start(tmp_path, SECRET_KEY=example["SECRET_KEY"]).stderr


@pytest.mark.parametrize("host", ["shop.example", "*", "192.0.2.1", ".example"])
def test_debug_is_refused_for_hosts_of_others(host: str) -> None:
    for name, is_debug in (("DEBUG", True), ("DEMO", False)):
        [fault] = startup.local_faults(["localhost", host], debug=is_debug)
        assert fault.startswith(f"{name} is on and ALLOWED_HOSTS has {host}:")


def test_debug_is_refused_for_other_machines(tmp_path: Path) -> None:
    for module, name in (("config.serve", "DEBUG"), ("config.demo", "DEBUG"), ("config.demo", "DEMO")):
        done = subprocess.run(
            [sys.executable, "-m", module],
            cwd=settings.BASE_DIR,
            env={"PATH": os.defpath, **COMPLETE, "ALLOWED_HOSTS": "localhost", name: "true", "HOST": "0.0.0.0"}
            | {"DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, module
        assert done.stderr.startswith(f"{name} is on and HOST is 0.0.0.0: ")
        assert not (tmp_path / "data").exists()


def test_demonstration_has_the_settings_of_production_but_for_what_it_needs(tmp_path: Path) -> None:
    found = loaded(tmp_path, DEMO="true", SECRET_KEY=None, ALLOWED_HOSTS=None, DATABASE_URL=None, DB_HOST="db.example")
    assert (found["DEBUG"], found["SESSION_COOKIE_SECURE"]) == (False, False)
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert len(found["SECRET_KEY"]) > 50
    # Commands in another terminal run in DEBUG, and read the same sessions.
    assert found["SECRET_KEY"] == loaded(tmp_path, DEBUG="true", SECRET_KEY=None, ALLOWED_HOSTS=None)["SECRET_KEY"]


def test_web_server_says_in_plain_sentences_why_it_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "config.serve"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.defpath, **COMPLETE, "SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("SECRET_KEY can be guessed")


@pytest.mark.parametrize("host", ["localhost", "shop.localhost", "127.0.0.1", "127.1.2.3", "[::1]", "::1"])
def test_loopback_hosts_are_known(host: str) -> None:
    assert startup.is_loopback(host)


def test_deployment_check_of_django_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.defpath, **COMPLETE, "STATIC_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
