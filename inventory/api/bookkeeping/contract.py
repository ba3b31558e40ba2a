"""The query and the answer of the route of reconciliation."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, PageQuery, Time

FindingKind = Literal["ON_HAND", "RESERVED", "IN_TRANSIT", "LONG_DUE", "ORPHAN"]


class ReconciliationQuery(PageQuery, kw_only=True):
    """A filter of the last run's findings."""

    kind: Annotated[FindingKind | None, Meta(description="Only findings of this kind.")] = None


class ReconciliationRunOut(Answer, kw_only=True):
    """A run that has ended. `findingCount` counts all findings; only the first thousand of each kind are stored."""

    reconciliation_id: Annotated[UUID, Meta(description="The run's id.")]
    started_at: Annotated[Time, Meta(description="When the run began.")]
    finished_at: Annotated[Time, Meta(description="When the run ended.")]
    scope: Annotated[str, Meta(description="What was compared.")]
    actor: str
    levels_checked: Annotated[int, Meta(description="How many stock levels were compared.")]
    finding_count: Annotated[
        int, Meta(description="How many findings there were; only the first thousand of each kind are stored.")
    ]


class ReconciliationFindingOut(Answer, kw_only=True):
    """A difference that was found again under the lock."""

    finding_id: Annotated[UUID, Meta(description="The finding's id.")]
    kind: Annotated[
        FindingKind,
        Meta(description="What differs: a counter, units in transit, a reservation long due, or an orphan row."),
    ]
    subject_id: Annotated[UUID, Meta(description="The level, transfer, reservation or other row that it is about.")]
    product_id: UUID | UnsetType = UNSET
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str | UnsetType = UNSET
    expected: Annotated[
        int | None, Meta(description="What the movements, reservations or transfer add up to, in units.")
    ]
    actual: Annotated[int | None, Meta(description="What the counter said, in units.")]
    detail: Annotated[str, Meta(description="The finding, in words.")]
    repaired_at: Annotated[Time | UnsetType, Meta(description="When it was repaired; absent if it was not.")] = UNSET
    repaired_by: Annotated[str | UnsetType, Meta(description="Who repaired it; absent if nobody has.")] = UNSET
    repair_reason: Annotated[str | UnsetType, Meta(description="Why it was repaired so; absent if it was not.")] = UNSET


class ReconciliationOut(Answer, kw_only=True):
    """The last run that has ended (null before the first), and a page of its findings."""

    run: Annotated[ReconciliationRunOut | None, Meta(description="The last run that has ended; null before the first.")]
    items: Annotated[list[ReconciliationFindingOut], Meta(description="The findings of this page.")]
    next: str | None
