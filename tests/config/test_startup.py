"""Every fault of the environment is found before anything starts: all at once, with what to do, and without secrets."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from config import parsing, server_addresses, settings, startup
from config.environment import PROCESS
from config.other_names import OTHER_NAMES, unread_names

COMPLETE: Final = {
    "DATABASE_URL": "postgres://u:p@db.example/stock",
    "REDIS_URL": "redis://redis.example",
    "SECRET_KEY": "0123456789" * 6,
    "ALLOWED_HOSTS": "shop.example",
}
PROGRAM: Final = """
import json, sys
from config import startup
from config.environment import PROCESS
from config.variables import *
print(json.dumps([startup.faults(), startup.warnings(), [DATABASE_URL, REDIS_URL, KAFKA_SERVERS]]))
"""


def run(*arguments: str, **given: str | None) -> subprocess.CompletedProcess[str]:
    """Run Python with exactly these variables on top of the complete ones; None leaves one out."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={"PATH": os.defpath, **{name: text for name, text in {**COMPLETE, **given}.items() if text is not None}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def found(**given: str | None) -> tuple[list[str], list[str], list[str]]:
    """The faults, warnings and addresses of these variables."""
    done = run("-c", PROGRAM, **given)
    assert done.returncode == 0, done.stderr
    faults, warnings, addresses = json.loads(done.stdout)
    return faults, warnings, addresses


def test_complete_environment_has_no_fault() -> None:
    assert found()[:2] == ([], [])


WRONG: Final = {
    "DATABASE_URL": "mysql://user:hunter2@db/stock",
    "REDIS_URL": "http://:hunter2@redis",
    "EVENT_STREAM_URL": "redis://:hunter2@redis:port/0",
    "INBOX_STREAM_URL": "redis://redis/stock",
    "ALLOWED_HOSTS": "https://shop.example",
    "CSRF_TRUSTED_ORIGINS": "shop.example",
    "DEBUG": "nope",
    "LOG_LEVEL": "LOUD",
    "KAFKA_SERVERS": "kafka",
    "KAFKA_OPTIONS": '{"sasl.password": hunter2}',
    "EMAIL_BACKEND": "smtp",
    "EMAIL_HOST_PASSWORD": "hunter2\n",
    "EMAIL_PORT": "70000",
    "WEBHOOK_CA_FILE": "/nowhere/ca.pem",
    "WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/40",
    "MOVEMENT_RETENTION_DAYS": "7",
    "LOCK_TIMEOUT": "0",
    "PORT": "http",
    "GRANIAN_WORKERS": "0",
    "DB_HOST": "tcp://db",
    "EVENT_SOURCE": "a b",
}


def test_every_value_that_is_not_of_its_kind_is_named_at_once_without_secrets() -> None:
    faults, _, _ = found(**WRONG)
    assert {fault.partition(":")[0] for fault in faults} == WRONG.keys()
    for fault in faults:
        variable = PROCESS.variables[fault.partition(":")[0]]
        assert len(fault.partition(": ")[2]) > 20
        assert variable.is_secret or repr(WRONG[variable.name]) in fault
        assert fault.endswith(".")
    assert "hunter2" not in "".join(faults)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"RESERVATION_TTL_MINUTES": "90"}, "RESERVATION_TTL_MINUTES is 90 and RESERVATION_MAX_TTL_MINUTES is 60"),
        ({"RESERVATION_MAX_TTL_MINUTES": "10"}, "RESERVATION_TTL_MINUTES is 15 and RESERVATION_MAX_TTL_MINUTES is 10"),
        ({"DATABASE_POOL_SIZE": "1", "GROUP_COMMIT_LEADERS": "2"}, "DATABASE_POOL_SIZE is 1"),
        ({"INBOX_STREAM": "orders"}, "INBOX_STREAM without INBOX_CLIENT"),
        ({"INBOX_TOPICS": "orders", "INBOX_CLIENT": "orders"}, "INBOX_TOPICS without KAFKA_SERVERS"),
        (
            {"KAFKA_BROKERS": "a:1", "KAFKA_SERVERS": "b:1"},
            "KAFKA_BROKERS and KAFKA_SERVERS are two names of one setting and differ",
        ),
        ({"EMAIL_USE_TLS": "true", "EMAIL_USE_SSL": "1"}, "EMAIL_USE_TLS and EMAIL_USE_SSL are both true"),
        ({"EMAIL_HOST_USER": "mailer"}, "EMAIL_HOST_USER without EMAIL_HOST_PASSWORD"),
        (
            {"WEBHOOK_CONNECTIONS_EACH": "300"},
            "WEBHOOK_CONNECTIONS_EACH is 300, more than WEBHOOK_CONNECTIONS, which is 200",
        ),
        (
            {"GROUP_COMMIT_LOCK_TIMEOUT": "20"},
            "GROUP_COMMIT_LOCK_TIMEOUT is 20.0, more than LOCK_TIMEOUT, which is 10.0",
        ),
        ({"DB_HOST": "elsewhere"}, "DB_HOST differs from DATABASE_URL"),
        ({"DB_PASSWORD": "hunter2"}, "DB_PASSWORD differs from DATABASE_URL"),
        ({"REDIS_PORT": "6380"}, "REDIS_PORT differs from REDIS_URL"),
        ({"DATABASE_URL": None, "DB_USER": "u", "DEBUG": "false"}, "DB_USER without DB_HOST and DATABASE_URL"),
        ({"REDIS_URL": None, "REDIS_PASSWORD": "hunter2"}, "REDIS_PASSWORD without REDIS_HOST and REDIS_URL"),
        ({"SECRET_KEY_FALLBACKS": "replace-me"}, "SECRET_KEY_FALLBACKS still has the placeholder"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(given: dict[str, str | None], fault: str) -> None:
    faults, _, _ = found(**given)
    assert any(sentence.startswith(fault) for sentence in faults), faults
    assert "hunter2" not in "".join(faults)


def test_what_bounds_a_default_is_no_contradiction() -> None:
    assert found(WEBHOOK_CONNECTIONS="4", LOCK_TIMEOUT="0.05", SESSION_MAX_HOURS="1")[0] == []


PASSWORD: Final = "p@ss:w/o?r#d%20 $é[1]"


def test_servers_can_be_given_in_parts_with_any_password() -> None:
    parts = {"DB_HOST": "db", "DB_USER": "inv@shop", "DB_PASSWORD": PASSWORD, "DB_PORT": "5433", "DB_NAME": "sto/ck"}
    faults, _, [database, redis, kafka] = found(
        DATABASE_URL=None,
        REDIS_URL=None,
        REDIS_HOST="redis",
        REDIS_PASSWORD=PASSWORD,
        KAFKA_BROKERS="kafka1:9092, kafka2:9092",
        **parts,
    )
    assert faults == []
    assert kafka == "kafka1:9092,kafka2:9092"
    assert parsing.database_url(database) == database
    assert server_addresses.of_database(database) == parts
    assert server_addresses.of_redis(redis) == {
        "REDIS_HOST": "redis",
        "REDIS_PORT": "6379",
        "REDIS_PASSWORD": PASSWORD,
    }
    # The URL and its parts may both be given if they say the same.
    assert found(DATABASE_URL=database, REDIS_URL=redis, REDIS_HOST="redis", REDIS_PASSWORD=PASSWORD, **parts)[0] == []


def test_parts_of_an_address_have_defaults() -> None:
    _, _, [database, redis, _] = found(DATABASE_URL=None, REDIS_URL=None, DB_HOST="::1", REDIS_HOST="::1")
    assert (database, redis) == ("postgres://inventory_user@[::1]:5432/inventory_db", "redis://[::1]:6379/0")
    assert server_addresses.database_parts("postgres://u@%2Frun%2Fpg/stock")["HOST"] == "/run/pg"


def test_addresses_that_kubernetes_sets_for_services_are_no_ports() -> None:
    links = {"REDIS_PORT": "tcp://10.0.0.7:6379", "DB_PORT": "tcp://10.0.0.8:5432", "PORT": "tcp://10.0.0.9:80"}
    assert found(**links)[0] == []


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("RESERVATION_TTL_MINUTE", "Did you mean RESERVATION_TTL_MINUTES?"),
        ("RESERVATION_TTL", "Did you mean RESERVATION_TTL_MINUTES?"),
        ("ALLOWED_HOST", "Did you mean ALLOWED_HOSTS?"),
        ("allowed_hosts", "Did you mean ALLOWED_HOSTS?"),
        ("DATABASE_URI", "Did you mean DATABASE_URL?"),
        ("SECRETKEY", "Did you mean SECRET_KEY?"),
        ("KAFKA_BROKER", "Did you mean KAFKA_BROKERS?"),
        ("PRODUCT_SERVICE_URL", "nothing replaces it"),
        ("PROMETHEUS_ENDPOINT", "nothing replaces it"),
        ("SPRING_DATASOURCE_URL", "set DATABASE_URL instead"),
        ("INVENTORY_RESERVATION_DEFAULT_TIMEOUT_MINUTES", "set RESERVATION_TTL_MINUTES instead"),
        ("DISTRIBUTED_LOCK_TIMEOUTSECONDS", "set LOCK_TIMEOUT instead"),
    ],
)
def test_name_that_nothing_reads_gets_a_warning(name: str, warning: str) -> None:
    faults, [sentence], _ = found(**{name: "5"})
    assert faults == []
    assert sentence.startswith(f"{name} is not read by this service")
    assert warning in sentence


def test_names_of_other_programs_get_no_warning() -> None:
    others = (
        *("HOME", "HOSTNAME", "PATH", "LANG", "PWD", "TERM", "USER", "SHLVL", "http_proxy", "no_proxy", "TZ", "PGHOST"),
        *("REDIS_SERVICE_HOST", "REDIS_PORT_6379_TCP_ADDR", "KUBERNETES_SERVICE_HOST", "KUBERNETES_PORT", "CI_RUN"),
        *("GRANIAN_LOG_LEVEL", "PYTHONUNBUFFERED", "CELERY_SKIP_CHECKS", "SSL_CERT_FILE", "POSTGRES_PASSWORD"),
        *("VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "MAKEFLAGS", "MAKELEVEL", "TMPDIR", "OLDPWD", "GPG_KEY"),
    )
    assert found(**dict.fromkeys(others, "tcp://x"))[1] == []


@pytest.mark.parametrize(
    "program",
    [
        ("-m", "config.serve"),
        ("manage.py", "relay_events"),
        ("manage.py", "migrate", "--no-input"),
        ("-m", "celery", "--quiet", "-A", "config", "beat"),
        ("-c", "import config.asgi"),
    ],
)
def test_every_process_names_all_faults_and_ends(program: tuple[str, ...]) -> None:
    done = run(*program, LOCK_RETRIES="some", RESERVATION_TTL_MINUTES="61")
    assert done.returncode != 0
    assert "LOCK_RETRIES: 'some' is not a whole number" in done.stderr
    assert "RESERVATION_TTL_MINUTES is 61" in done.stderr
    assert ("Traceback" in done.stderr) == ("config.asgi" in program[-1])


def test_folder_of_the_archive_is_tried_before_a_month_has_passed(tmp_path: Path) -> None:
    # A folder below a file can't be made, not even by root.
    (tmp_path / "file").touch()
    assert startup.folder_faults({**PROCESS.values, "ARCHIVE_DIR": tmp_path / "new" / "archive"}) == []
    impossible = {**PROCESS.values, "ARCHIVE_DIR": tmp_path / "file" / "archive"}
    assert startup.folder_faults(impossible)[0].startswith(f"ARCHIVE_DIR: {tmp_path}/file/archive can't be written")
    kept = {name: 0 for name in PROCESS.values if name.endswith("_RETENTION_DAYS")}
    assert startup.folder_faults(impossible | kept) == []
    worker = run("-m", "celery", "-A", "config", "worker", "-P", "solo", ARCHIVE_DIR=str(impossible["ARCHIVE_DIR"]))
    assert worker.returncode != 0
    assert worker.stderr.splitlines()[-1].startswith("ARCHIVE_DIR:")


def names_in(text: str) -> set[str]:
    return {
        line.lstrip("#").partition("=")[0] for line in text.splitlines() if "=" in line and line.lstrip("#")[0] != " "
    }


def test_example_and_compose_set_only_variables_that_exist() -> None:
    root = settings.BASE_DIR
    compose = yaml.safe_load((root / "docker-compose.yml").read_text())
    of_ours = {
        name
        for service in compose["services"].values()
        if service["image"].startswith("${IMAGE")
        for name in service["environment"]
    }
    assert of_ours
    assert of_ours <= PROCESS.variables.keys()
    # Read by Compose alone: the password of another container, and the image to run.
    of_compose = {"POSTGRES_PASSWORD", "IMAGE", "TAG"}
    assert names_in((root / ".env.example").read_text()) - of_compose <= PROCESS.variables.keys()


def test_each_other_name_is_that_of_a_variable_or_says_why_there_is_none() -> None:
    for other in OTHER_NAMES:
        assert not other.ours or other.ours in PROCESS.variables, other
        assert other.ours or other.note, other


OF_EXAMPLES: Final = {"REPLICA_FILE", "WEBHOOK_SECRET"}
"""Variables of programs in the guides, which are no part of the service."""


def test_documents_name_only_variables_that_exist() -> None:
    root = settings.BASE_DIR
    pages = [root / "README.md", root / "SECURITY.md", root / "Makefile", root / "Dockerfile"]
    pages += [page for page in (root / "docs").rglob("*.md") if "adr" not in page.parts]
    pages += [
        page for page in (root / "deploy").rglob("*") if page.is_file() and page.suffix in {".yaml", ".env", ".md"}
    ]
    for page in pages:
        names = set(re.findall(r"(?<![\w$-])[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+(?![\w-])", page.read_text("utf-8")))
        if page.name != "configuration.md":
            assert list(unread_names(names - OF_EXAMPLES, PROCESS.variables)) == [], page
