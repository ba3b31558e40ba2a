"""Helpers for tests that begin, change and post drafts."""

from typing import Any
from uuid import UUID

from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.actors import Actor
from inventory.models import (
    ReceivingDraft,
)
from inventory.services.drafts import posting
from inventory.services.drafts.lines import LineCommand
from inventory.services.drafts.posting import PostDraftRequest
from tests.factories import ACTOR

ANNA = replace(ACTOR, name="anna", source="admin", account_id=1)
BERT = replace(ACTOR, name="bert", source="admin", account_id=2)


def add(product_id: UUID, quantity: int = 1, **fields: Any) -> LineCommand:
    return LineCommand(fields.pop("id", None) or uuid7(), product_id, "add", quantity, **fields)


def put(product_id: UUID, quantity: int, seen: int | None = None) -> LineCommand:
    return LineCommand(uuid7(), product_id, "set", quantity, seen)


def version_of(draft_id: UUID) -> int:
    return ReceivingDraft.objects.get(pk=draft_id).version


def post(draft_id: UUID, actor: Actor = ANNA, **fields: Any) -> Any:
    return posting.post_delivery(PostDraftRequest(actor, draft_id, **{"version": version_of(draft_id), **fields}))
