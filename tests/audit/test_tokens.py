"""Bearer tokens: found by their hash, cached for seconds, refused when expired or revoked."""

import hashlib
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import authentication
from audit.authentication import find_caller, forget_cached_tokens, issue_token
from audit.models import ApiClient, ApiToken
from audit.roles import Role
from tests.conftest import Api
from tests.factories import make_client

pytestmark = pytest.mark.django_db


def queries(token: str) -> int:
    """The number of statements it takes to authenticate a token."""
    with CaptureQueriesContext(connection) as captured:
        find_caller(token)
    return len(captured)


def test_a_token_is_stored_as_prefix_and_hash_alone() -> None:
    token = issue_token(make_client())
    row = ApiToken.objects.get()
    assert (row.prefix, bytes(row.digest)) == (token[:16], hashlib.sha256(token.encode()).digest())
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM audit_apitoken t")
        assert token.partition(".")[2] not in cursor.fetchone()[0]


def test_a_token_identifies_its_client_with_role_and_stores() -> None:
    client = make_client(Role.WAREHOUSE, stores=("main", "outlet"))
    caller = find_caller(issue_token(client))
    assert caller is not None
    assert (caller.client_id, caller.name, caller.role) == (client.id, client.name, "warehouse")
    assert caller.store_codes == ("main", "outlet")


def test_what_differs_in_one_character_is_unknown() -> None:
    token = issue_token(make_client())
    for wrong in (token[:-1], token + "x", token[:-1] + ("a" if token[-1] != "a" else "b"), token[:16], "", "x" * 60):
        assert find_caller(wrong) is None
    assert find_caller(token)


@pytest.mark.parametrize(("minutes", "known"), [(-1, False), (1, True)])
def test_a_token_can_expire(minutes: int, *, known: bool) -> None:
    token = issue_token(make_client(), expires_at=timezone.now() + timedelta(minutes=minutes))
    assert bool(find_caller(token)) is known
    assert bool(find_caller(token)) is known


def test_a_cached_token_expires_at_its_time() -> None:
    token = issue_token(make_client(), expires_at=timezone.now() + timedelta(minutes=1))
    assert find_caller(token)
    ((digest, cached),) = authentication._cache.items()
    authentication._cache[digest] = replace(cached, token_expires_at=timezone.now())
    assert queries(token) == 0
    assert find_caller(token) is None


def test_a_known_token_costs_no_query_while_it_is_cached(settings: LazySettings) -> None:
    token = issue_token(make_client())
    assert queries(token) == 2
    assert queries(token) == 0
    forget_cached_tokens()
    assert queries(token) == 1
    settings.TOKEN_CACHE_SECONDS = 0
    assert queries(token) == 1


def test_an_unknown_token_is_never_cached() -> None:
    assert queries("unknown") == 1
    assert queries("unknown") == 1
    prefix = "0123456789abcdef"
    token = prefix + ".later"
    assert find_caller(token) is None
    digest = hashlib.sha256(token.encode()).digest()
    ApiToken.objects.create(client=make_client(), prefix=prefix, digest=digest)
    assert find_caller(token)


@pytest.mark.parametrize(
    "change",
    [
        lambda: ApiToken.objects.update(revoked_at=timezone.now()),
        lambda: ApiClient.objects.update(role=Role.WAREHOUSE, store_codes=["outlet"]),
    ],
    ids=["revoked", "changed"],
)
def test_a_change_takes_effect_once_the_cache_is_old(change: Any, settings: LazySettings) -> None:
    assert settings.TOKEN_CACHE_SECONDS <= 5
    settings.TOKEN_CACHE_SECONDS = 60
    token = issue_token(make_client(Role.CHECKOUT))
    first = find_caller(token)
    change()
    assert find_caller(token) == first
    settings.TOKEN_CACHE_SECONDS = 0.05
    time.sleep(0.06)
    assert find_caller(token) != first


def test_a_revoked_token_is_refused_over_http(api: Api, settings: LazySettings) -> None:
    assert api.get("levels").status_code == 200
    ApiToken.objects.update(revoked_at=timezone.now())
    settings.TOKEN_CACHE_SECONDS = 0
    assert api.get("levels").status_code == 401


@pytest.mark.parametrize(("seconds_ago", "written"), [(None, True), (30, False), (61, True)])
def test_last_used_is_written_at_most_once_a_minute(seconds_ago: int | None, *, written: bool) -> None:
    token = issue_token(make_client())
    before = None if seconds_ago is None else timezone.now() - timedelta(seconds=seconds_ago)
    ApiToken.objects.update(last_used_at=before)
    find_caller(token)
    after = ApiToken.objects.get().last_used_at
    assert (after != before) is written


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_CACHE_LIMIT", 3)
    for _ in range(5):
        find_caller(issue_token(make_client()))
    assert len(authentication._cache) <= 3


def test_the_scheme_is_read_whatever_its_case(api: Api) -> None:
    for header in (f"bearer {api.token}", f"BEARER {api.token}", f"Bearer  {api.token} "):
        assert api.get("levels", Authorization=header).status_code == 200
