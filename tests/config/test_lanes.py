"""Which threads answer which request."""

import asyncio
import threading
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.urls import get_resolver, reverse

from audit.db import pool
from config.bodies import Refused
from config.lanes import Lane, Lanes
from tests.loops import run
from tests.staff import PASSWORD, browser_of, make_staff


def lane(method: str, path: str) -> str:
    lanes = Lanes()
    found = lanes.lane_of({"method": method, "path": path})
    return next(name for name, lane in vars(lanes).items() if lane is found)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("admin:login", []),
        ("admin:password_change", []),
        ("admin:auth_user_add", []),
        ("admin:auth_user_password_change", [7]),
    ],
)
def test_what_hashes_a_password_has_a_lane_of_its_own(name: str, arguments: list[Any]) -> None:
    assert lane("POST", reverse(name, args=arguments)) == "passwords"
    assert lane("GET", reverse(name, args=arguments)) == "console"


def test_files_have_a_lane_of_their_own() -> None:
    admin = dict(get_resolver().namespace_dict)["admin"][1].reverse_dict
    imports = [reverse(f"admin:{name}") for name in admin if isinstance(name, str) and "_import_" in name]
    exports = [reverse(f"admin:{name}") for name in admin if isinstance(name, str) and "_export_" in name]
    assert len(imports) >= 3
    assert len(exports) >= 3
    assert {lane("POST", path) for path in imports} == {"files"}
    assert {lane("GET", path) for path in exports} == {"files"}


def test_probes_wait_for_nobody_and_the_rest_shares() -> None:
    assert lane("GET", "/health/ready") == "probes"
    assert lane("POST", "/api/v1/inventory/reserve") == lane("GET", "/") == lane("GET", "/static/a.css") == "others"


def test_pages_of_the_console_have_threads_and_connections_of_their_own() -> None:
    assert lane("GET", "/admin/") == lane("POST", reverse("admin:inventory_product_add")) == "console"
    lanes = Lanes()
    beside = [lanes.console, lanes.files, lanes.passwords, lanes.probes]
    assert sum(lane.threads for lane in beside) <= 8  # Of DATABASE_POOL_SIZE: config/asgi.py counts on it.


def test_who_would_wait_behind_too_many_is_refused() -> None:
    go_on = threading.Event()

    async def crowd() -> list[Any]:
        narrow = Lane("test", 1, 2)
        running = [asyncio.ensure_future(narrow.run(go_on.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await narrow.run(go_on.wait)
        assert refused.value.status == 503
        go_on.set()
        return [*await asyncio.gather(*running), await narrow.run(go_on.wait)]

    assert run(crowd()) == [True] * 4


@pytest.mark.django_db(transaction=True)
def test_hashing_holds_no_connection_of_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "is_pooled", lambda: True)
    assert User.objects.count() == 0
    assert connection.connection is not None
    hashed = make_password("one", hasher="default")
    assert connection.connection is None
    assert User.objects.count() == 0
    assert check_password("one", hashed)
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_no_page_of_passwords_holds_a_connection_while_it_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)
    administrator = browser_of(make_staff("administrator"))
    clerk = make_staff("warehouse", name="carl", password=PASSWORD)
    new = "another good password"
    twice = {"password1": new, "password2": new}
    hash_ = PBKDF2PasswordHasher.encode
    held: list[bool] = []

    def noting(hasher: PBKDF2PasswordHasher, password: str, salt: str, iterations: int | None = None) -> str:
        held.append(connection.connection is not None)
        return hash_(hasher, password, salt, iterations)

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", noting)
    monkeypatch.setattr(pool, "is_pooled", lambda: True)
    pages = {
        reverse("admin:login"): (Client(), {"username": "carl", "password": PASSWORD}),
        reverse("admin:password_change"): (
            browser_of(clerk),
            {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
        ),
        reverse("admin:auth_user_add"): (administrator, {"username": "dora", "reach": "all", **twice}),
        reverse("admin:auth_user_password_change", args=[clerk.pk]): (administrator, twice),
    }
    for path, (browser, sent) in pages.items():
        held.clear()
        assert browser.post(path, sent).status_code == 302, path
        assert held, path
        assert not any(held), path
    assert {user.username for user in User.objects.all() if user.check_password(new)} == {"carl", "dora"}


@pytest.mark.django_db(transaction=True)
def test_hashing_leaves_an_open_transaction_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "is_pooled", lambda: True)
    with transaction.atomic():
        User.objects.create(username="one", password=make_password("one"))
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_hashing_keeps_a_connection_that_no_other_thread_could_use() -> None:
    """A command may hold a lock on it."""
    assert User.objects.count() == 0
    make_password("one")
    assert connection.connection is not None
