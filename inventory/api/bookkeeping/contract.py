"""The query and the answer of the route of reconciliation."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, PageQuery

FindingKind = Literal["ON_HAND", "RESERVED", "IN_TRANSIT", "LONG_DUE", "ORPHAN"]


class ReconciliationQuery(PageQuery, kw_only=True):
    """A filter of the last run's findings."""

    kind: FindingKind | None = None


class ReconciliationRunOut(Answer, kw_only=True):
    """A run that has ended. `findingCount` counts all findings; only the first thousand of each kind are stored."""

    reconciliation_id: UUID
    started_at: datetime
    finished_at: datetime
    scope: str
    actor: str
    levels_checked: int
    finding_count: int


class ReconciliationFindingOut(Answer, kw_only=True):
    """A difference that was found again under the lock."""

    finding_id: UUID
    kind: FindingKind
    subject_id: Annotated[UUID, Meta(description="The level, transfer, reservation or other row that it is about.")]
    product_id: UUID | UnsetType = UNSET
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str | UnsetType = UNSET
    expected: Annotated[
        int | None, Meta(description="What the movements, reservations or transfer add up to, in units.")
    ]
    actual: Annotated[int | None, Meta(description="What the counter said, in units.")]
    detail: str
    repaired_at: datetime | UnsetType = UNSET
    repaired_by: str | UnsetType = UNSET
    repair_reason: str | UnsetType = UNSET


class ReconciliationOut(Answer, kw_only=True):
    """The last run that has ended (null before the first), and a page of its findings."""

    run: ReconciliationRunOut | None
    items: list[ReconciliationFindingOut]
    next: str | None
