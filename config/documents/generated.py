"""Documents that are generated from the code: `make fmt` writes them, `make check` compares them.

To add one, add it to ``GENERATED``.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

from django.core.management import call_command

from config import openapi
from config.documents import asyncapi, configuration, events, incoming, metrics, roles
from config.documents.actions import audit_actions
from config.documents.defects import Defect
from reservations.services.orders.incoming import incoming_types


class Generated(NamedTuple):
    """A document and the function that generates its text. ``path`` is relative to the repository."""

    path: str
    make: Callable[[], str]


def openapi_text() -> str:
    """The OpenAPI document, validated. Raises CommandError if generating it gives a warning."""
    written = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=written)
    return written.getvalue()


GENERATED: Final[Sequence[Generated]] = (
    Generated(openapi.DOCUMENT, openapi_text),
    Generated("docs/reference/audit-actions.md", audit_actions),
    Generated(configuration.PAGE, configuration.page),
    Generated(roles.PAGE, roles.page),
    Generated(metrics.PAGE, metrics.page),
    Generated(events.PAGE, events.page),
    *(
        Generated(f"{events.FOLDER}/{event.TYPE}.schema.json", partial(events.schema_text, event))
        for event in events.event_types()
    ),
    Generated(asyncapi.DOCUMENT, asyncapi.document),
    Generated(incoming.PAGE, incoming.page),
    *(
        Generated(f"{incoming.FOLDER}/{event.TYPE}.schema.json", partial(incoming.schema_text, event))
        for event in incoming_types().values()
    ),
)


def write_generated(root: Path, documents: Sequence[Generated] = GENERATED) -> None:
    """Write the documents that differ from their generated text."""
    for document in documents:
        path, text = root / document.path, document.make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def check_generated(root: Path, documents: Sequence[Generated] = GENERATED) -> Iterator[Defect]:
    """A defect for each document that differs from its generated text, at the first such line."""
    for document in documents:
        path = root / document.path
        written = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        made = document.make().splitlines(keepends=True)
        for number, (old, new) in enumerate(zip_longest(written, made), start=1):
            if old != new:
                yield Defect(document.path, number, "is not what the code says; make fmt writes it")
                break
