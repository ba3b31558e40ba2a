"""Limits per minute of a client's requests, and of an address's wrong tokens."""

import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from uuid_utils.compat import uuid7

from config import throttling
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import make_level, make_store

pytestmark = pytest.mark.django_db


class Warnings:
    """Records the logged warnings."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **facts: object) -> None:
        self.events.append(event)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> Warnings:
    logged = Warnings()
    monkeypatch.setattr(throttling, "logger", logged)
    return logged


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a counter of its own, and a longer Redis timeout for busy machines."""
    monkeypatch.setattr(throttling, "_counter", throttling._Counter())
    monkeypatch.setattr(throttling, "_TIMEOUT_SECONDS", 5.0)
    throttling._client.cache_clear()
    yield
    throttling._client().close()
    throttling._client.cache_clear()


def lose_redis(settings: LazySettings) -> None:
    """Point the settings to an address without a Redis."""
    throttling._client().close()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    throttling._client.cache_clear()


def refused(send: Callable[[], HttpResponse]) -> HttpResponse:
    """The first refusal. The requests span at most two minutes, so twice the limit plus one are enough."""
    for _ in range(7):
        response = send()
        if response.status_code == 429:
            return response
    raise AssertionError("never refused")


def test_a_client_over_its_limit_gets_retry_after(api: Api, settings: LazySettings) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = 3
    response = refused(lambda: api.get("levels"))
    problem(response, 429, "throttled")
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_a_client_within_its_limit_or_without_one_is_served(api: Api, settings: LazySettings) -> None:
    for limit in (0, 20):
        settings.THROTTLE_REQUESTS_PER_MINUTE = limit
        assert [api.get("levels").status_code for _ in range(20)] == [200] * 20


def test_each_client_has_a_limit_of_its_own(make_api: Callable[[], Api], settings: LazySettings) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = 3
    first, second = make_api(), make_api()
    refused(lambda: first.get("levels"))
    assert second.get("levels").status_code == 200


def wrong(address: str) -> HttpResponse:
    client = Client(headers={"Host": "localhost", "Authorization": "Bearer wrong"})
    return client.get("/api/v1/inventory/levels", REMOTE_ADDR=address)


def test_wrong_tokens_are_counted_by_address(api: Api, settings: LazySettings) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 3
    one, other = f"test-{uuid7()}", f"test-{uuid7()}"
    assert wrong(one).status_code == 401
    problem(refused(lambda: wrong(one)), 429, "throttled")
    assert wrong(other).status_code == 401
    assert api.get("levels").status_code == 200


def test_without_redis_everything_passes_with_a_warning(api: Api, settings: LazySettings, warnings: Warnings) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 1
    lose_redis(settings)
    make_store()
    level = make_level(10)
    for _ in range(3):
        body = {"cartId": "c", "items": [{"productId": str(level.product_id), "quantity": 1}]}
        assert api.post("reserve", body).status_code == 201
        assert wrong("10.0.0.1").status_code == 401
    assert set(warnings.events) == {"throttling_open_without_redis"}


def test_a_client_that_was_refused_passes_once_redis_is_gone(
    api: Api, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, warnings: Warnings
) -> None:
    settings.THROTTLE_REQUESTS_PER_MINUTE = 3
    refused(lambda: api.get("levels"))
    lose_redis(settings)
    monkeypatch.setattr(throttling, "_SYNC_EVERY_SECONDS", 0.0)
    assert api.get("levels").status_code == 200
    monkeypatch.setattr(throttling, "_SYNC_EVERY_SECONDS", 60.0)
    assert [api.get("levels").status_code for _ in range(3)] == [200] * 3
    assert warnings.events == ["throttling_open_without_redis"]


def test_unreachable_redis_delays_no_request(settings: LazySettings, warnings: Warnings) -> None:
    lose_redis(settings)
    began = time.monotonic()
    for name in range(50):
        assert throttling._counter.exceeds(f"x{name}", 1) is None
    assert time.monotonic() - began < 1
    assert len(warnings.events) == 1


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "1.1.1.1", "9.9.9.9"),
        (1, "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (2, "1.1.1.1, 2.2.2.2, 3.3.3.3", "2.2.2.2"),
        (2, "3.3.3.3", "9.9.9.9"),
        (1, "", "9.9.9.9"),
    ],
)
def test_an_address_is_what_trusted_proxies_saw(
    settings: LazySettings, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = HttpRequest()
    request.META = {"HTTP_X_FORWARDED_FOR": forwarded, "REMOTE_ADDR": "9.9.9.9"}
    assert throttling.address_of(request) == address
