"""An archive that is killed at any step loses nothing, and the next one finishes the work."""

import json

from tests.faults.house import House


def test_archive_that_is_killed_at_any_step_loses_nothing(house: House) -> None:
    printed = json.loads(house.python("-m", "tests.faults.archive_driver", seconds=300))
    steps: list[str] = printed["steps"]
    assert printed["killed"] == len(steps) > 40
    assert steps.count("open draft") == steps.count("rename") == 3
    in_order = iter(steps)
    for kind, deletion in (
        ("movements", "WITH gone AS ( DELETE FROM inventory_movement"),
        ("reservations", "WITH going AS ( SELECT r.id FROM reservations_reservation"),
        ("audit_entries", "DELETE FROM audit_auditentry"),
    ):
        for expected in (
            "open draft",
            f"sync {kind}",
            "rename",
            "sync archive",
            "INSERT INTO inventory_archivedfile",
            deletion,
            "UPDATE inventory_archivedfile SET deleted_at",
            "INSERT INTO audit_auditentry",
        ):
            assert any(step.startswith(expected) for step in in_order), (expected, steps)
