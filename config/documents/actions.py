"""The reference of the audit trail's actions."""

from typing import Final

from django.utils import translation

from audit.actions import registered

_HEAD: Final = """\
# Audit actions

The changes that audit entries record. `make fmt` generates this page from the `actions.py` of each package: don't edit
it here.

An entry has one of these names as its `action`, and as its `subject_id` the id of a row of the kind in the last column.
Names never change. Labels may change: the console shows them. From an entry of an action with †, the console links to
the stock movements that were written with it.

| Name | Label | Subject |
| --- | --- | --- |
"""


def audit_actions() -> str:
    """The actions as a Markdown page, by name, in English."""
    with translation.override("en"):
        rows = (
            f"| `{action.name}`{' †' if action.related else ''} | {action.label} | {action.subject.label} |\n"
            for action in registered()
        )
        return _HEAD + "".join(rows)
