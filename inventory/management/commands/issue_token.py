"""The command ``issue_token``: make a token for an API client. It is not in ``audit`` because it checks the stores."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit.actors import Actor
from audit.clients import add_client, add_token
from audit.models import ApiClient
from audit.roles import Role
from inventory.locking import read_clock
from inventory.management.arguments import line_argument, whole_number
from inventory.models import CODE, Store

_COMMAND: Final = Actor(name="issue_token", client_id=None, request_id="", source="command")
_NAME_LIMIT = 64
_DAYS_LIMIT = 36_500


class Command(BaseCommand):
    """Prints the token, and nothing else, on stdout. It is never stored in clear, so it can't be shown again."""

    help = "Issue a token for an API client, which is made if it is new, and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the client, new or known; its name stands in the audit trail as the actor")
        parser.add_argument("--role", help=f"what a new client may do: {', '.join(Role.values)}")
        parser.add_argument(
            "--store",
            dest="stores",
            action="append",
            default=[],
            metavar="CODE",
            help="limit a new client to this store; may be repeated; without it: all stores",
        )
        parser.add_argument("--days", help="how long the token is valid; without it: until it is revoked")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        if days is not None:
            days = whole_number("--days", days, least=1, most=_DAYS_LIMIT)
        name = line_argument("A client's name", options["name"], _NAME_LIMIT)
        with transaction.atomic():
            now = read_clock()
            client = _client(name, options["role"], sorted(set(options["stores"])), now)
            expires_at = None if days is None else now + timedelta(days=days)
            issued = add_token(_COMMAND, client, expires_at=expires_at, now=now)
        self.stdout.write(issued.token)


def _client(name: str, role: str | None, stores: list[str], now: datetime) -> ApiClient:
    """The client of this name; creates it if it is new. Raises CommandError if it has another role or other stores."""
    if role is not None and role not in Role.values:
        raise CommandError(f"There is no role {role}: choose one of {', '.join(Role.values)}.")
    known = set(Store.objects.filter(code__in=filter(CODE.fullmatch, stores)).values_list("code", flat=True))
    if unknown := [code for code in stores if code not in known]:
        raise CommandError(f"There is no store {', '.join(unknown)}.")
    client = ApiClient.objects.select_for_update().filter(name=name).first()
    if client is None:
        if role is None:
            raise CommandError(f"{name} is new: say what it may do with --role {'|'.join(Role.values)}.")
        return add_client(_COMMAND, name=name, role=role, store_codes=stores, now=now)
    if role not in (None, client.role):
        raise CommandError(f"{name} exists with the role {client.role}: choose another name, or leave out --role.")
    if stores and stores != sorted(client.store_codes):
        limits = ", ".join(client.store_codes) or "all stores"
        raise CommandError(f"{name} exists and is limited to {limits}: choose another name, or leave out --store.")
    return client
