"""Bearer tokens: issued once, stored as prefix and SHA-256, cached in the process for a few seconds."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit.models import ApiClient, ApiToken
from audit.roles import Capability, roles_with

_PREFIX_LENGTH: Final = 16
_CACHE_LIMIT: Final = 10_000
_LAST_USED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated API client. Empty ``store_codes`` means all stores.

    ``reach`` is role and stores as bytes, a part of each idempotency fingerprint. ``id_text`` is the client's id as
    text, by which the client's counts are found faster than by the UUID. Both are made once for each token that is
    read, not for each request.
    """

    client_id: UUID
    name: str
    role: str
    store_codes: tuple[str, ...]
    is_authenticated: bool = True
    reach: bytes = field(init=False, repr=False)
    id_text: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reach", ",".join((self.role, *sorted(self.store_codes))).encode())
        object.__setattr__(self, "id_text", str(self.client_id))

    def may(self, capability: Capability) -> bool:
        """Whether the client's role has a capability."""
        return self.role in roles_with(capability)


@dataclass(frozen=True, slots=True)
class _Cached:
    caller: Caller
    token_expires_at: datetime | None
    read_at: float


_cache: dict[bytes, _Cached] = {}


def issue_token(client: ApiClient, *, expires_at: datetime | None = None) -> str:
    """Make a token for a client and return it. It is never stored in clear, so it can't be shown again."""
    prefix = secrets.token_hex(_PREFIX_LENGTH // 2)
    token = f"{prefix}.{secrets.token_urlsafe(32)}"
    ApiToken.objects.create(client=client, prefix=prefix, digest=_digest(token), expires_at=expires_at)
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def forget_cached_tokens() -> None:
    """Clear the cache of tokens. Cached tokens also expire by themselves after ``TOKEN_CACHE_SECONDS``."""
    _cache.clear()


def find_caller(token: str) -> Caller | None:
    """The client of a token; None if the token is unknown, expired or revoked.

    One indexed query; none if the token was read less than ``TOKEN_CACHE_SECONDS`` ago. Unknown tokens are not cached.
    """
    digest = _digest(token)
    cached = _fresh(digest)
    if cached is None:
        cached = _read(token, digest)
        if cached is None:
            _cache.pop(digest, None)
            return None
        if len(_cache) >= _CACHE_LIMIT:
            _cache.clear()
        _cache[digest] = cached
    return _unexpired(cached)


def reread_tokens(authorizations: Collection[str]) -> None:
    """Renew the cache for the tokens of ``Authorization`` headers that were valid before, with one query for all.

    Those that are revoked leave the cache.
    """
    tokens = {token.strip() for _, _, token in (header.partition(" ") for header in authorizations)}
    read_at = time.monotonic()
    rows = ApiToken.objects.select_related("client").filter(
        prefix__in={token[:_PREFIX_LENGTH] for token in tokens}, revoked_at__isnull=True
    )
    by_digest = {bytes(row.digest): row for row in rows}
    for digest in map(_digest, tokens):
        found = by_digest.get(digest)
        if found is None:
            _cache.pop(digest, None)
        else:
            _cache[digest] = _cached(found, read_at)
    _note_uses(list(by_digest.values()))


def caller_of_header(authorization: str) -> Caller | None:
    """The client of an ``Authorization`` header that was valid before, as ``find_caller``."""
    return find_caller(authorization.partition(" ")[2].strip())


def cached_caller(authorization: str) -> Caller | None:
    """The client of an ``Authorization`` header if its token is cached, else None. Sends no query."""
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        return None
    cached = _fresh(_digest(token))
    return _unexpired(cached) if cached else None


def is_known_token(authorization: str) -> bool:
    """Whether the token of an ``Authorization`` header was valid when this process last looked it up. No query."""
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and _digest(token.strip()) in _cache


def _fresh(digest: bytes) -> _Cached | None:
    cached = _cache.get(digest)
    return cached if cached and time.monotonic() - cached.read_at < settings.TOKEN_CACHE_SECONDS else None


def _unexpired(cached: _Cached) -> Caller | None:
    is_expired = cached.token_expires_at is not None and cached.token_expires_at <= timezone.now()
    return None if is_expired else cached.caller


def _read(token: str, digest: bytes) -> _Cached | None:
    found = (
        ApiToken.objects.select_related("client").filter(prefix=token[:_PREFIX_LENGTH], revoked_at__isnull=True).first()
    )
    if found is None or not hmac.compare_digest(bytes(found.digest), digest):
        return None
    _note_uses([found])
    return _cached(found, time.monotonic())


def _cached(token: ApiToken, read_at: float) -> _Cached:
    client = token.client
    caller = Caller(client.id, client.name, client.role, tuple(client.store_codes))
    return _Cached(caller, token.expires_at, read_at)


def _note_uses(tokens: Iterable[ApiToken]) -> None:
    """Update ``last_used_at``, at most once a minute."""
    now = timezone.now()
    used = [each.pk for each in tokens if each.last_used_at is None or each.last_used_at <= now - _LAST_USED_EVERY]
    if used:
        is_older = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - _LAST_USED_EVERY)
        ApiToken.objects.filter(is_older, pk__in=used).update(last_used_at=now)


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>``."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not (token.isascii() and token.isprintable()):
            raise AuthenticationFailed("Send the header as: Authorization: Bearer <token>.")
        caller = find_caller(token.strip())
        if caller is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked.")
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="inventory"'
