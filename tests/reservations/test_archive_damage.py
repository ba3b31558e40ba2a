"""Archives that are damaged, of other rows, or made at the same time lose nothing."""

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError
from django.db import connection
from uuid_utils.compat import uuid7

from inventory.errors import ArchiveRefused
from inventory.models import ArchivedFile, LedgerOpening, Movement
from inventory.services.bookkeeping import archiving
from tests.archives import let_days_pass
from tests.books import assert_books_balance
from tests.factories import make_level
from tests.reservations.archives import archive, enter_without_deleting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "archive_folder")]


# --- damaged and concurrent files ------------------------------------------------------------------------------------


def test_only_one_archive_is_at_work_in_a_folder(archive_folder: Path) -> None:
    make_level(10)
    let_days_pass(400)
    with (
        archiving.archive_files.one_at_a_time(archive_folder),
        pytest.raises(CommandError, match="Another run is archiving"),
    ):
        archive()
    assert Movement.objects.count() == 1


def test_an_archive_with_another_folder_takes_nothing_twice(settings: LazySettings, tmp_path: Path) -> None:
    make_level(10)
    let_days_pass(400)
    enter_without_deleting(archiving.movements())
    first = settings.ARCHIVE_DIR
    settings.ARCHIVE_DIR = tmp_path / "elsewhere"
    with pytest.raises(CommandError, match="is missing: is ARCHIVE_DIR the folder"):
        archive()
    with pytest.raises(ArchiveRefused, match="into another folder"):
        archiving._enter(archiving.movements(), ArchivedFile(kind="MOVEMENTS"), [Movement.objects.get().id])
    with pytest.raises(ArchiveRefused, match="into another folder"):
        archiving._enter(archiving.movements(), ArchivedFile(kind="MOVEMENTS"), [uuid7()])
    assert Movement.objects.count() == 1
    settings.ARCHIVE_DIR = first
    archive()
    assert Movement.objects.count() == 0


@pytest.mark.parametrize("damage", ["cut", "changed", "longer", "gone"])
def test_rows_of_a_damaged_file_stay(archive_folder: Path, damage: str) -> None:
    make_level(10)
    let_days_pass(400)
    path = archive_folder / enter_without_deleting(archiving.movements())
    whole = path.read_bytes()
    damaged = {"cut": whole[:-9], "changed": whole[:20] + b"x" + whole[21:], "longer": whole + whole}.get(damage)
    path.unlink() if damaged is None else path.write_bytes(damaged)
    with pytest.raises(CommandError, match="Nothing is lost"):
        archive()
    assert Movement.objects.count() == 1
    path.write_bytes(whole)
    archive()
    assert Movement.objects.count() == 0
    assert_books_balance()


def test_a_file_of_other_rows_than_it_was_entered_with_is_refused(archive_folder: Path) -> None:
    make_level(10)
    let_days_pass(400)
    name = enter_without_deleting(archiving.movements())
    ArchivedFile.objects.update(rows=2)
    with pytest.raises(CommandError, match=f"{name} has 1 lines instead of 2"):
        archive()
    assert Movement.objects.count() == 1


def test_only_the_oldest_movements_of_a_level_go() -> None:
    level = make_level(10)
    let_days_pass(400)
    enter_without_deleting(archiving.movements())
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
               reference_type, reference, actor, created_at)
               SELECT gen_random_uuid(), level_id, type, quantity, quantity_before, quantity_after, reason,
               reference_type, reference, actor, created_at - interval '1 day' FROM inventory_movement"""
        )
    with pytest.raises(CommandError, match="An older movement of a level would stay"):
        archive()
    assert (Movement.objects.filter(level=level).count(), LedgerOpening.objects.count()) == (2, 0)


def test_rows_that_somebody_else_deleted_stop_the_archive() -> None:
    make_level(10)
    make_level(10)
    let_days_pass(400)
    enter_without_deleting(archiving.movements())
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('inventory.archiving', 'on', true)")
        cursor.execute("DELETE FROM inventory_movement WHERE id = (SELECT min(id::text)::uuid FROM inventory_movement)")
        cursor.execute("SELECT set_config('inventory.archiving', 'off', true)")
    with pytest.raises(CommandError, match="1 of 2 rows of a file were deleted by somebody else"):
        archive()
    assert Movement.objects.count() == 1


def test_history_is_guarded_again_right_after() -> None:
    make_level(10)
    let_days_pass(400)
    archive()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('inventory.archiving', true)")
        assert cursor.fetchone() == ("off",)
