"""The page of roles, generated from ``audit.roles``: what each role of API clients and each group of staff may do."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from audit.roles import STAFF_GROUPS, Capability, Role

PAGE: Final = "docs/reference/roles.md"
_HEAD: Final = """# Roles

What each role of API clients and each group of staff may do. A client that is limited to stores, or a member of staff
who is limited to warehouses, may do less ([rule 19](../explanation/rules.md#19-roles-and-reach)).

This page is generated from `audit/roles.py`: `make fmt` writes it, `make check` fails if they differ.
"""
_CLIENTS: Final = """
## API clients

Each call requires one of these capabilities; [the list of calls](../reference/api.md#calls) has the roles of each call.
"""
_STAFF: Final = """
## Staff

A member of staff is in one or more groups. Superusers may do everything. A group may do less than the role of API
clients with the same name: clients of the role `warehouse` may post counts and resolve incidents, but in the console
that is for `manager` and `administrator`.
"""
_PERMISSIONS: Final = """
### Permissions

Pages and dialogs of the console require a permission. Each `manage.py migrate` gives the groups exactly these: a
change to one of them by hand is undone. Groups of other names are left alone, and so are the single permissions that a
superuser gives on the page of an account.
"""


def page() -> str:
    """The page's text."""
    capabilities = ((capability.value, [capability in role.capabilities for role in Role]) for capability in Capability)
    names = sorted({name for group in STAFF_GROUPS for name in group.permissions})
    permissions = ((f"`{name}`", [name in group.permissions for group in STAFF_GROUPS]) for name in names)
    groups = (f"| `{group.name}` | {group.hint} |" for group in STAFF_GROUPS)
    lines = [
        _HEAD + _CLIENTS,
        *_matrix("may", [role.value for role in Role], capabilities),
        _STAFF,
        "| group | does |",
        "| --- | --- |",
        *groups,
        _PERMISSIONS,
        *_matrix("permission", [group.name for group in STAFF_GROUPS], permissions),
    ]
    return "\n".join(lines) + "\n"


def _matrix(what: str, names: Sequence[str], rows: Iterable[tuple[str, list[bool]]]) -> Iterator[str]:
    """A Markdown table of capabilities or permissions, by role or group."""
    yield f"| {what} | {' | '.join(f'`{name}`' for name in names)} |"
    yield f"|{' --- |' * (len(names) + 1)}"
    for label, has in rows:
        yield f"| {label} | {' | '.join('yes' if it else '–' for it in has)} |"
