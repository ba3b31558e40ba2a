"""The demonstration data is consistent, is loaded once, and lost parts are restored."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from audit import authentication
from audit.authentication import find_caller
from audit.models import ApiClient
from inventory.models import Movement, Product, ReconciliationRun, StockLevel, Store, Warehouse
from reservations.management import demo_catalogue
from reservations.management.commands.demo_data import LIVE_HOLDS
from reservations.models import Reservation, ReservationItem
from reservations.services.bookkeeping import reconciliation
from tests.conftest import Api
from tests.factories import make_due, make_product

pytestmark = pytest.mark.django_db

_UNSOUND = {
    "on hand differs from the sum of movements": """
        SELECT id FROM inventory_stocklevel l WHERE on_hand <>
            (SELECT coalesce(sum(quantity), 0) FROM inventory_movement WHERE level_id = l.id)""",
    "reserved differs from what is held": """
        SELECT id FROM inventory_stocklevel l WHERE reserved <> (SELECT coalesce(sum(quantity), 0)
            FROM reservations_reservationitem WHERE level_id = l.id AND held_until IS NOT NULL)""",
    "a movement doesn't begin where the one before ended": """
        SELECT id FROM (SELECT id, quantity_before - lag(quantity_after, 1, 0)
            OVER (PARTITION BY level_id ORDER BY created_at, id) AS gap FROM inventory_movement) t WHERE gap <> 0""",
    "ids and times of movements disagree": """
        SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY level_id ORDER BY created_at)
            - row_number() OVER (PARTITION BY level_id ORDER BY id) AS gap FROM inventory_movement) t WHERE gap <> 0""",
    "the last movement is another one": """
        SELECT id FROM inventory_stocklevel l WHERE last_movement_at IS DISTINCT FROM
            (SELECT max(created_at) FROM inventory_movement WHERE level_id = l.id)""",
    "a movement of the future": "SELECT id FROM inventory_movement WHERE created_at > clock_timestamp()",
    "an item is held after its reservation ended, or isn't before": """
        SELECT i.id FROM reservations_reservationitem i JOIN reservations_reservation r ON r.id = i.reservation_id
        WHERE i.held_until IS DISTINCT FROM CASE r.status WHEN 'ACTIVE' THEN r.expires_at END""",
}


@pytest.fixture
def file(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """The file for login and tokens."""
    settings.IS_LOCAL = True
    settings.DATA_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path / "demo.json"


def load() -> None:
    authentication.forget_cached_tokens()
    call_command("demo_data", verbosity=0)


def can_log_in(username: str, password: str) -> bool:
    """Whether this user can log in."""
    sent = {"username": username, "password": password}
    answer = Client(headers={"Host": "localhost"}).post("/admin/login/", sent)
    return answer.status_code == 302


def unsound() -> list[str]:
    with connection.cursor() as cursor:
        found = []
        for what, statement in _UNSOUND.items():
            cursor.execute(statement)
            if cursor.fetchall():
                found.append(what)
    return found


def test_demo_data_is_sound_and_full_of_cases(file: Path) -> None:
    load()
    assert unsound() == []
    assert {w.code: w.type for w in Warehouse.objects.all()} == dict(
        zip(demo_catalogue.PLACES, ("MAIN", "SECONDARY", "DROPSHIP"), strict=True)
    )
    assert Store.objects.get(is_default=True).code == "main"
    assert set(Store.objects.values_list("code", flat=True)) == {"main", "outlet"}
    assert 55 <= Product.objects.count() <= 70
    assert Product.objects.filter(parent__isnull=False).exists()
    assert StockLevel.objects.filter(on_hand=0).exists()
    assert set(Movement.objects.values_list("type", flat=True)) == {"RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN"}
    assert set(Reservation.objects.values_list("status", flat=True)) == set(Reservation.Status.values)


def test_holds_of_the_last_day_are_spread_over_it_and_belong_to_its_sales(file: Path) -> None:
    load()
    now = timezone.now()
    over = Reservation.objects.exclude(status="ACTIVE")
    assert over.filter(created_at__gt=now - timedelta(hours=24)).count() == over.count()
    hours = Counter(f"{hold.created_at:%d %H}" for hold in over)
    assert len(hours) >= 8
    assert max(hours.values()) < over.count() / 3
    stories = over.exclude(cart_id__startswith="demo-")
    assert set(stories.values_list("status", flat=True)) == {"CONSUMED", "EXPIRED", "RELEASED"}
    for item in ReservationItem.objects.filter(reservation__in=stories, reservation__status="CONSUMED"):
        sale = Movement.objects.get(level=item.level_id, created_at=item.reservation.consumed_at)
        assert (sale.quantity, sale.reference) == (-item.quantity, item.reservation.order_id)
    assert not stories.exclude(status="CONSUMED").filter(expires_at__gt=now).exists()
    assert not stories.filter(created_at__gte=F("released_at")).exists()


def test_books_of_the_shop_were_compared_and_balance(file: Path) -> None:
    load()
    run = ReconciliationRun.objects.get()
    assert (run.finding_count, run.levels_checked) == (0, StockLevel.objects.count())
    assert reconciliation.reconcile(reconciliation.NIGHTLY).finding_count == 0


def test_products_for_the_walk_through_are_as_promised_and_not_held(file: Path) -> None:
    load()
    tent = demo_catalogue.product_id("TENT-2P")
    assert str(tent) == "d4c3be38-2bb1-53da-ab83-5417b452563e"
    levels = StockLevel.objects.filter(product=tent).order_by("warehouse__code")
    assert [(x.warehouse.code, x.on_hand, x.reserved, x.min_stock_level) for x in levels] == [
        ("wh-001", 5, 0, 0),
        ("wh-002", 3, 0, 0),
    ]
    untouched = [demo_catalogue.product_id(sku) for sku in demo_catalogue.UNTOUCHED]
    assert not ReservationItem.objects.filter(level__product__in=untouched).exists()


def test_barcodes_are_valid_and_unique(file: Path) -> None:
    load()
    barcodes = [code for code in Product.objects.values_list("barcode", flat=True) if code]
    assert len(barcodes) == len(set(barcodes))
    for code in barcodes:
        assert len(code) == 13
        assert sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(code)) % 10 == 0


def test_loading_again_changes_nothing(file: Path) -> None:
    load()
    counted = [model.objects.count() for model in (Product, Movement, Reservation, ApiClient)]
    written = file.read_text()
    load()
    assert [model.objects.count() for model in (Product, Movement, Reservation, ApiClient)] == counted
    assert file.read_text() == written


def test_login_and_tokens_work_and_are_private(file: Path) -> None:
    load()
    credentials = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert can_log_in(**credentials["staff"])
    for role, token in credentials["tokens"].items():
        caller = find_caller(token)
        assert caller is not None
        assert caller.role == role
        assert Api(token).get("levels").status_code == 200


@pytest.mark.parametrize("written", [None, "{", '{"staff": {}}', '{"tokens": []}', "[]"])
def test_lost_or_broken_credentials_are_replaced(file: Path, written: str | None) -> None:
    load()
    if written is None:
        file.unlink()
    else:
        file.write_text(written)
    load()
    credentials = json.loads(file.read_text())
    assert can_log_in(**credentials["staff"])
    assert all(map(find_caller, credentials["tokens"].values()))


def test_credentials_of_a_lost_database_are_replaced(file: Path) -> None:
    file.write_text(
        json.dumps(
            {
                "staff": {"username": "demo", "password": "x"},
                "tokens": dict.fromkeys(("checkout", "warehouse", "manager"), "gone"),
            }
        )
    )
    load()
    assert get_user_model().objects.filter(username="demo").exists()
    assert all(map(find_caller, json.loads(file.read_text())["tokens"].values()))


def test_holds_of_an_earlier_start_are_followed_by_new_ones(file: Path) -> None:
    load()
    make_due(*Reservation.objects.filter(status="ACTIVE").values_list("id", flat=True), ago=timedelta(days=3))
    load()
    assert Reservation.objects.in_state("ACTIVE").count() >= LIVE_HOLDS
    assert Reservation.objects.due().exists()
    assert unsound() == []


def test_demo_data_stays_out_of_a_database_with_products_of_its_own(file: Path) -> None:
    make_product()
    with pytest.raises(CommandError, match="of its own"):
        load()
    assert Product.objects.count() == 1
    assert not file.exists()


def test_demo_data_is_for_debug_only(file: Path, settings: Any) -> None:
    settings.IS_LOCAL = False
    with pytest.raises(CommandError, match="DEBUG"):
        load()
    assert not Product.objects.exists()
