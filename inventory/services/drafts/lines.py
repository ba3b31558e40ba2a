"""Lines of a draft, changed by commands, so that two tabs or devices on one draft don't overwrite each other.

A command adds to a line, sets it or removes it. It has an id from the browser, which sends it again until it has an
answer: a command that was carried out before does nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import write
from inventory.models import DraftCommand

MOST_LINES: Final = 200
"""The most lines of a draft: as many as a request to the API may have."""
MOST_UNITS: Final = 1_000_000
"""The most units of a line."""

Verdict = Literal["done", "repeat", "changed", "not_expected", "too_many_lines", "too_many_units"]
"""``changed``: the line isn't any more what the person saw. ``not_expected``: the draft can't have this product."""


@dataclass(frozen=True, slots=True)
class LineCommand:
    """A change of one line, in units. ``add`` adds the quantity; ``set`` replaces the units, ``remove`` the line.

    ``seen`` is what the person saw on the line (0 if there was none): if it has changed since, ``set`` and ``remove``
    do nothing. None doesn't compare.
    """

    id: UUID
    product_id: UUID
    do: Literal["add", "set", "remove"] = "add"
    quantity: int = 1
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class LineOutcome:
    """What a command did, and the units that the line has now; 0 if there is no line."""

    command: LineCommand
    verdict: Verdict
    quantity: int


@dataclass(frozen=True, slots=True)
class ChangedLines:
    """The outcomes in the order of the commands, and the units of all lines, by product. ``version`` is the draft's."""

    outcomes: tuple[LineOutcome, ...]
    quantities: Mapping[UUID, int]
    version: str = ""


def merge(
    commands: Sequence[LineCommand],
    quantities: Mapping[UUID, int],
    known: Iterable[UUID],
    most: Callable[[UUID], int] = lambda _: MOST_UNITS,
) -> ChangedLines:
    """Carry out commands on lines, in order. ``known`` are the ids of earlier commands; ``most`` gives the most units
    of a line, 0 for a product that the draft can't have. Pure."""
    now, done = dict(quantities), set(known)
    outcomes: list[LineOutcome] = []
    for command in commands:
        here = now.get(command.product_id, 0)
        verdict, wanted = _decided(command, here, now, done, most(command.product_id))
        if verdict == "done":
            done.add(command.id)
            now[command.product_id] = wanted
            if not wanted:
                del now[command.product_id]
        outcomes.append(LineOutcome(command, verdict, now.get(command.product_id, 0)))
    return ChangedLines(tuple(outcomes), now)


def _decided(
    command: LineCommand, here: int, now: Mapping[UUID, int], done: set[UUID], most: int
) -> tuple[Verdict, int]:
    """What becomes of a command, and the units that its line then has."""
    wanted = {"add": here + command.quantity, "set": command.quantity, "remove": 0}[command.do]
    if command.id in done:
        return "repeat", here
    if command.do != "add" and command.seen is not None and here not in {command.seen, wanted}:
        return "changed", here
    if wanted and not most:
        return "not_expected", here
    if wanted > most and wanted > here:
        return "too_many_units", here
    if wanted and not here and len(now) >= MOST_LINES:
        return "too_many_lines", here
    return "done", wanted


def known_commands(draft_id: UUID, commands: Sequence[LineCommand]) -> set[UUID]:
    """The ids of those commands that were carried out on this draft before. Requires the draft's lock."""
    found = DraftCommand.objects.filter(draft=draft_id, command__in=[command.id for command in commands])
    return set(found.values_list("command", flat=True))


_RECORD: Final = """
INSERT INTO inventory_draftcommand (id, draft, command, done_at)
SELECT id, %s, command, %s FROM unnest(%s::uuid[], %s::uuid[]) AS t (id, command)
"""


def record_commands(draft_id: UUID, outcomes: Sequence[LineOutcome], now: datetime) -> None:
    """Remember the commands that were carried out."""
    ids = [outcome.command.id for outcome in outcomes if outcome.verdict == "done"]
    write(_RECORD, [draft_id, now, columns.uuids(uuid7() for _ in ids), columns.uuids(ids)])


def changed_products(before: Mapping[UUID, int], after: Mapping[UUID, int]) -> tuple[dict[UUID, int], list[UUID]]:
    """The lines to write, and the products whose lines are to be deleted."""
    written = {product: units for product, units in after.items() if before.get(product) != units}
    return written, [product for product in before if product not in after]
