"""Load the demonstration shop: a catalogue, four weeks of movements, a day of holds, a login and tokens.

This is the one exception to the rule that only the ledger writes counters and movements and only ``documents`` writes
holds: services date their rows with the present time, so they can't write a past. The past is inserted as rows, in one
transaction, into a database without any stock, and holds that shall have ended have their times moved. The services
make the rest.
"""

import json
import os
import random
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import F
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.authentication import find_caller
from audit.clients import add_client, add_token
from audit.idempotency import advisory_lock
from audit.models import ApiClient, StaffAccess
from audit.roles import STAFF_GROUPS, Role
from inventory.locking import read_clock
from inventory.models import Movement, Product, StockLevel, Store, StoreWarehouse, Warehouse
from reservations.management import demo_catalogue as catalogue
from reservations.management.demo_history import DAYS, Change, Plan, generate
from reservations.management.demo_holds import REASONS, Shoppers
from reservations.models import Reservation, ReservationItem
from reservations.services.bookkeeping import reconciliation
from reservations.services.holds import expiry
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_holds
from reservations.services.holds.resolution import (
    ConsumeRequest,
    ReleaseRequest,
    consume_holds,
    release_holds,
)
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine

USERNAME: Final = "demo"
LIVE_HOLDS: Final = 4
_CART: Final = "demo-"


class Command(BaseCommand):
    """Loads the demonstration data. Safe to repeat: existing rows are kept, missing ones are made."""

    help = "Load demonstration data: a shop, its past, holds in every state, a login and tokens (DATA_DIR/demo.json)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IS_LOCAL:
            raise CommandError(
                "Demonstration data belongs on a developer's machine: it is loaded with DEBUG or DEMO only."
            )
        with _one_at_a_time():
            if not Product.objects.filter(pk=catalogue.product_id(catalogue.UNTOUCHED[0])).exists():
                _load_shop()
                reconciliation.reconcile(reconciliation.NIGHTLY)
                self.stdout.write(f"Loaded {Product.objects.count()} products and {DAYS} days of movements.")
            file = settings.DATA_DIR / "demo.json"
            if not _is_valid(file):
                _write_credentials(file)
                self.stdout.write(f"Login and tokens are in {file}.")
            actor = _actor()
            if not Reservation.objects.filter(cart_id__startswith=_CART).exists():
                _make_past_holds(actor)
            _make_live_holds(actor)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Take a lock, so that a concurrent run waits and then finds everything loaded.

    On a connection of its own, which ends with the lock: hashing a password closes that of the thread.
    """
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [advisory_lock("demo_data")])
            yield
    finally:
        own.close()


# ----------------------------------------------------------------------------------------------- the shop and its past


def _load_shop() -> None:
    """Insert catalogue, levels and movements in one transaction. Raises CommandError if the database has others."""
    if Product.objects.exists() or Warehouse.objects.exists() or Store.objects.exists():
        raise CommandError("This database has products, warehouses or stores of its own: demonstration data stays out.")
    now = read_clock()
    opened = now - timedelta(days=DAYS + 30)
    with transaction.atomic():
        warehouses = Warehouse.objects.bulk_create(Warehouse(created_at=opened, **w) for w in catalogue.WAREHOUSES)
        ids = {warehouse.code: warehouse.id for warehouse in warehouses}
        sold_by = _insert_stores(ids, opened)
        _insert_products(now, opened)
        levels, movements = _stories(ids, now)
        StockLevel.objects.bulk_create(levels)
        Movement.objects.bulk_create(sorted(movements, key=lambda movement: movement.created_at))
        _insert_holds(sold_by, movements, now)


def _insert_holds(sold_by: dict[UUID, list[Store]], movements: Sequence[Movement], now: datetime) -> None:
    """Insert the holds of the last day, all of which have ended."""
    untouched = {catalogue.product_id(sku) for sku in catalogue.UNTOUCHED}
    sales = [movement for movement in movements if movement.level.product_id not in untouched]
    shoppers = Shoppers(sold_by, now, random.Random("shoppers"))  # noqa: S311 - demonstration rows, not a secret
    holds = sorted(shoppers.holds(sales), key=lambda pair: pair[0].created_at)
    Reservation.objects.bulk_create(hold for hold, _ in holds)
    ReservationItem.objects.bulk_create(item for _, item in holds)


def _insert_stores(warehouse_ids: dict[str, UUID], opened: datetime) -> dict[UUID, list[Store]]:
    """Insert the stores. Returns, by warehouse, the stores that sell from it."""
    sold_by: dict[UUID, list[Store]] = {}
    for number, (code, name, minutes, places) in enumerate(catalogue.STORES):
        store = Store.objects.create(
            code=code, name=name, ttl_minutes=minutes, is_default=number == 0, created_at=opened
        )
        StoreWarehouse.objects.bulk_create(
            StoreWarehouse(store=store, warehouse_id=warehouse_ids[place], priority=priority)
            for priority, place in enumerate(places, 1)
        )
        for place in places:
            sold_by.setdefault(warehouse_ids[place], []).append(store)
    return sold_by


def _insert_products(now: datetime, opened: datetime) -> None:
    parents = {article.parent for _, article in catalogue.articles()}
    Product.objects.bulk_create(
        Product(
            id=article.id,
            sku=article.sku,
            name=article.name,
            parent_id=catalogue.product_id(article.parent) if article.parent else None,
            # Barcodes are on variants, never on their parent.
            barcode="" if article.sku in parents else catalogue.barcode(number),
            is_active=article.is_active,
            listing_expires_at=None if article.listing_days is None else now + timedelta(days=article.listing_days),
            created_at=opened,
            updated_at=opened,
        )
        for number, (_, article) in enumerate(catalogue.articles(), 1)
    )


def _stories(warehouse_ids: dict[str, UUID], now: datetime) -> tuple[list[StockLevel], list[Movement]]:
    """All levels as they are today, and the movements that explain them."""
    levels: list[StockLevel] = []
    movements: list[Movement] = []
    for number, (zone, article) in enumerate(catalogue.articles()):
        for place, on_hand in enumerate(article.on_hand):
            if on_hand is None:
                continue
            code = catalogue.PLACES[place]
            plan = Plan.of(article.daily, place)
            seed = f"{article.sku} in {code}"
            changes = generate(seed, on_hand=on_hand, plan=plan, cost=article.cost, now=now)
            level = _level(article, plan, changes, warehouse_ids[code], now)
            level.on_hand = on_hand
            # wh-003 belongs to a supplier: no bins of our own there, and no reordering.
            if code != "wh-003":
                level.zone, level.aisle, level.shelf = zone, f"{number // 8 + 1:02d}", f"{number % 8 + 1}"
                level.reorder_point, level.reorder_quantity = plan.reorder_point, plan.reorder_quantity
                level.max_stock_level = plan.reorder_point + plan.reorder_quantity if place == 0 else None
                level.min_stock_level = article.safety_stock if place == 0 else 0
            levels.append(level)
            movements.extend(_movements(level, changes))
    return levels, movements


def _level(
    article: catalogue.Article, plan: Plan, changes: Sequence[Change], warehouse_id: UUID, now: datetime
) -> StockLevel:
    counts = [change.at for change in changes if change.reason == "bin recount"]
    return StockLevel(
        product_id=article.id,
        warehouse_id=warehouse_id,
        last_counted_at=counts[-1] if counts else None,
        last_movement_at=changes[-1].at if changes else None,
        version=1 + len(changes),
        created_at=changes[0].at if changes else now,
        updated_at=changes[-1].at if changes else now,
    )


def _movements(level: StockLevel, changes: Sequence[Change]) -> Iterator[Movement]:
    stock = 0
    for change in changes:
        moment = change.at.timestamp()
        yield Movement(
            id=uuid7(timestamp=int(moment), nanos=change.at.microsecond * 1000),
            level=level,
            type=change.type,
            quantity=change.quantity,
            quantity_before=stock,
            quantity_after=stock + change.quantity,
            reason=change.reason,
            reference_type=change.reference_type,
            reference=change.reference,
            cost_per_unit=change.cost_per_unit,
            actor=change.actor,
            adjustment_id=None if change.type == "SHIPMENT" else uuid7(timestamp=int(moment)),
            created_at=change.at,
        )
        stock += change.quantity


# ---------------------------------------------------------------------------------------------------- login and tokens


def _is_valid(file: Path) -> bool:
    """Whether the file's login and tokens work with this database."""
    try:
        known = json.loads(file.read_text())
        tokens = [known["tokens"][role] for role in Role.values]
        username = known["staff"]["username"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    return get_user_model().objects.filter(username=username).exists() and all(map(find_caller, tokens))


def _write_credentials(file: Path) -> None:
    """Make a password and tokens, and write them to a file that only its owner can read."""
    password = secrets.token_urlsafe(12)
    user, _ = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    _make_staff(user.password)
    tokens = {}
    actor = Actor(name="demo_data", client_id=None, request_id="", source="command")
    with transaction.atomic():
        now = read_clock()
        for role in Role.values:
            name = f"{USERNAME}-{role}"
            client = ApiClient.objects.filter(name=name).first()
            client = client or add_client(actor, name=name, role=role, store_codes=(), now=now)
            tokens[role] = add_token(actor, client, expires_at=None, now=now).token
    credentials = {"staff": {"username": USERNAME, "password": password}, "tokens": tokens}
    draft = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        output.write(json.dumps(credentials, indent=2) + "\n")
    draft.replace(file)


def _make_staff(password: str) -> None:
    """Make a member of staff for each group, ``demo-viewer`` and so on, with the password of ``demo``: ``password`` is
    its hash.

    The member for warehouse work sees only one warehouse.
    """
    for name in (group.name for group in STAFF_GROUPS):
        group, _ = Group.objects.get_or_create(name=name)
        user, _ = get_user_model().objects.update_or_create(
            username=f"{USERNAME}-{name}", defaults={"is_staff": True, "password": password}
        )
        user.groups.set([group])
        codes = [catalogue.PLACES[0]] if name == "warehouse" else []
        limits = {"all_warehouses": not codes, "warehouse_codes": codes}
        StaffAccess.objects.update_or_create(user=user, defaults=limits)


def _actor() -> Actor:
    """The actor of the demonstration's holds: the client with the checkout token."""
    client = ApiClient.objects.get(name=f"demo-{Role.CHECKOUT}")
    return Actor(name=client.name, client_id=client.id, request_id="demo-data", source="command")


# --------------------------------------------------------------------------------------------------------------- holds


@dataclass(frozen=True, slots=True)
class _Cart:
    """A cart to make: its final status (or "due"), its store, its hold time in minutes, and its lines."""

    fate: str
    store: str
    minutes: int | None
    lines: tuple[tuple[str, int], ...]


_PAST: Final = (
    _Cart("CONSUMED", "main", None, (("BOOT-MID-41", 1), ("SOCK-HIKE-39-41", 2))),
    _Cart("CONSUMED", "outlet", None, (("DRYBAG-20", 2), ("MUG-TI", 1))),
    _Cart("RELEASED", "main", None, (("JKT-RAIN-M", 1), ("FLEECE-L", 1))),
    _Cart("EXPIRED", "main", 5, (("POLES", 1), ("GAITER", 1))),
)
_LIVE: Final = (
    _Cart("due", "main", None, (("LANTERN", 1),)),
    _Cart("ACTIVE", "main", 2, (("TARP-3X3", 1), ("PEGS-10", 1))),
    _Cart("ACTIVE", "main", 5, (("JKT-RAIN-L", 1),)),
    _Cart("ACTIVE", "outlet", None, (("BOOT-MID-42", 1), ("SOCK-HIKE-39-41", 3))),
    _Cart("extended", "main", None, (("BAG-WIN", 1), ("MAT-AIR", 1))),
    _Cart("ACTIVE", "main", 30, (("TENT-4P", 1), ("PILLOW-AIR", 4), ("GAS-450", 2))),
    _Cart("ACTIVE", "main", 45, (("PACK-65", 1),)),
    _Cart("ACTIVE", "outlet", 60, (("FLEECE-M", 2),)),
    _Cart("ACTIVE", "main", 60, (("FIRST-AID", 1), ("KNIFE", 1))),
)


def _make_past_holds(actor: Actor) -> None:
    """Make holds that have just been sold, released or expired, through the services, which write all related rows."""
    placed = _place(_PAST, actor)
    consume_holds(
        [
            ConsumeRequest(actor, f"ORD-{1000 + number}", Selector(reservation_id=reservation_id))
            for number, reservation_id in enumerate(placed["CONSUMED"])
        ]
    )
    release_holds(
        [
            ReleaseRequest(actor, Selector(reservation_id=reservation_id), reason=REASONS[number % len(REASONS)])
            for number, reservation_id in enumerate(placed["RELEASED"])
        ]
    )
    _make_due(placed["EXPIRED"])
    expiry.expire_due_holds()


def _make_live_holds(actor: Actor) -> None:
    """Make active holds unless enough are active: those of an earlier run have expired."""
    running = Reservation.objects.in_state("ACTIVE").filter(cart_id__startswith=_CART).count()
    if running >= LIVE_HOLDS:
        return
    placed = _place(_LIVE, actor)
    for reservation_id in placed["extended"]:
        extend_hold(ExtendRequest(actor, Selector(reservation_id), minutes=10))
    _make_due(placed["due"])


def _place(carts: Sequence[_Cart], actor: Actor) -> dict[str, list[UUID]]:
    """Hold the carts' lines, all in one batch. Returns the ids by fate; carts that are short are skipped."""
    requests = [
        HoldRequest(
            actor=actor,
            lines=tuple(RequestLine(catalogue.product_id(sku), None, quantity) for sku, quantity in cart.lines),
            store=cart.store,
            cart_id=f"{_CART}{secrets.token_hex(4)}",
            customer_id=f"customer-{1000 + number * 37}",
            timeout_minutes=cart.minutes,
        )
        for number, cart in enumerate(carts)
    ]
    placed: dict[str, list[UUID]] = {cart.fate: [] for cart in carts}
    for cart, outcome in zip(carts, place_holds(requests), strict=True):
        if isinstance(outcome, PlacedHold):
            placed[cart.fate].append(outcome.hold.id)
    return placed


def _make_due(ids: Sequence[UUID]) -> None:
    """Move the times of holds so that they ended a few seconds ago."""
    for reservation in Reservation.objects.filter(id__in=ids):
        ago = reservation.expires_at - read_clock() + timedelta(seconds=3)
        with transaction.atomic():
            Reservation.objects.filter(pk=reservation.pk).update(
                created_at=F("created_at") - ago, expires_at=F("expires_at") - ago
            )
            ReservationItem.objects.filter(reservation=reservation).update(held_until=F("held_until") - ago)
