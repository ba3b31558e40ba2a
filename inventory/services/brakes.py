"""Brakes: what staff freeze takes no new holds until they lift it, or until a moment that they name.

What is held already goes its way: it is extended, consumed and released as ever. The end of a freeze by ``until`` needs
nobody, writes nothing and is told to nobody but by the event that began it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from audit.errors import Fault, Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.services import Asker, Entry, Event, publish, record
from inventory.errors import Freeze
from inventory.locking import read_clock
from inventory.models import Freezable, Product, Store, Warehouse
from inventory.services.master_data import Saved, claimed


@dataclass(frozen=True, slots=True)
class Subject:
    """What is frozen: a product or variant by its id, a warehouse or store by its code."""

    model: type[Freezable]
    key: UUID | str

    @property
    def kind(self) -> str:
        """``product``, ``warehouse`` or ``store``."""
        return str(self.model._meta.model_name)


def product(product_id: UUID) -> Subject:
    """A product with all its variants, or a variant."""
    return Subject(Product, product_id)


def warehouse(code: str) -> Subject:
    """A warehouse, for all stores."""
    return Subject(Warehouse, code)


def store(code: str) -> Subject:
    """A store, wherever it sells from."""
    return Subject(Store, code)


def freeze(
    asker: Asker, subject: Subject, *, reason: str, until: datetime | None = None, claim: Claim | None = None
) -> Saved | StoredAnswer:
    """Take no new holds of it from now on. What is frozen gets the new reason and end, and stays frozen since it was.

    A product or warehouse is refused at once everywhere, a store at once in this process and within
    ``CATALOGUE_CACHE_SECONDS`` in others. Holds that are being made in this moment may still stand.

    Raises NotFound, Invalid (``until`` isn't in the future), Busy and the errors of claims. Locks the row.
    """

    def work() -> Saved:
        row = _lock(subject)
        now = read_clock()
        if until is not None and until <= now:
            raise Invalid("A freeze ends in the future.", [Fault("/until", Invalid.code, "not in the future")])
        since = row.frozen_at if row.is_frozen else now
        return _set(asker, subject, row, Freeze(reason, until), since=since, reason=reason, now=now)

    return claimed(claim, work)


def unfreeze(asker: Asker, subject: Subject, *, reason: str = "", claim: Claim | None = None) -> Saved | StoredAnswer:
    """Take new holds of it again, at once in this process and within ``CATALOGUE_CACHE_SECONDS`` in others.

    What isn't frozen stays as it is, and nothing is recorded. Raises NotFound, Busy and the errors of claims. Locks the
    row.
    """

    def work() -> Saved:
        row = _lock(subject)
        if row.frozen_at is None:
            return Saved(row, is_new=False)
        return _set(asker, subject, row, None, since=None, reason=reason, now=read_clock())

    return claimed(claim, work)


def _lock(subject: Subject) -> Any:
    key = {"id" if subject.model is Product else "code": subject.key}
    rows: Any = subject.model._default_manager
    row = rows.with_brakes().select_for_update(no_key=True).filter(**key).first()
    if row is None:
        raise NotFound(f"There is no {subject.kind} {subject.key}.")
    return row


def _set(
    asker: Asker,
    subject: Subject,
    row: Any,
    freeze: Freeze | None,
    *,
    since: datetime | None,
    reason: str,
    now: datetime,
) -> Saved:
    """Write the brake with its audit entry and event; ``reason`` is that of the change."""
    after = {
        "frozen_at": since,
        "frozen_until": freeze.until if freeze else None,
        "freeze_reason": freeze.reason if freeze else "",
    }
    told = {name: [getattr(row, name), value] for name, value in after.items() if getattr(row, name) != value}
    rows: Any = subject.model._default_manager
    rows.filter(pk=row.pk).update(**after, **({"updated_at": now} if subject.model is Product else {}))
    outcome = "frozen" if freeze else "unfrozen"
    record([Entry(asker, f"inventory_{subject.kind}_{outcome}", row.pk, {**told, "reason": reason})], now=now)
    payload = {"subject": subject.kind.upper(), f"{subject.kind}Id": str(subject.key), "reason": reason}
    if freeze:
        payload |= {"until": freeze.facts()["until"]}
    publish([Event(f"Inventory{outcome.title()}Event", f"{subject.kind}:{subject.key}", payload)], now=now)
    return Saved(rows.with_brakes().get(pk=row.pk), is_new=False)
