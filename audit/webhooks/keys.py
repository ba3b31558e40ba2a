"""Signing keys of webhooks according to Standard Webhooks 1.0, and their encryption for the database.

A subscription has keys of both schemes: ``v1`` is HMAC-SHA256 with a secret (``whsec_…``) that the receiver gets once,
``v1a`` is ed25519 with a private key (``whsk_…``) that never leaves the service, and a public one (``whpk_…``).

Secrets are encrypted (AES-256-GCM) with a key that is derived from ``SECRET_KEY``; secrets that were encrypted with one
of ``SECRET_KEY_FALLBACKS`` can still be decrypted.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

HMAC: Final = "v1"
ED25519: Final = "v1a"
_SECRET: Final = "whsec_"  # noqa: S105 - a prefix
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Unreadable(Exception):
    """A secret was encrypted with a SECRET_KEY that is neither the present one nor one of the fallbacks."""


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signing key as it is stored. ``sealed`` is the encrypted secret, ``public`` the public key of ed25519.

    ``ends_at`` is when a key that was replaced stops signing; None for the present one.
    """

    scheme: str
    sealed: str
    public: str = ""
    ends_at: datetime | None = None


class Signer:
    """Signs requests with all keys of a subscription that are valid at the time of the attempt."""

    def __init__(self, subscription_id: UUID, keys: Iterable[Key]) -> None:
        """Raises Unreadable."""
        self._keys = [(key.scheme, _raw(unseal(subscription_id, key.sealed)), key.ends_at) for key in keys]
        self._private = {
            raw: Ed25519PrivateKey.from_private_bytes(raw[:32]) for scheme, raw, _ in self._keys if scheme == ED25519
        }

    def signatures(self, message_id: str, at: datetime, body: bytes) -> str:
        """The value of ``webhook-signature``: a signature by each valid key, separated by blanks."""
        content = b"%b.%d.%b" % (message_id.encode(), int(at.timestamp()), body)
        made = []
        for scheme, raw, ends_at in self._keys:
            if ends_at is None or at < ends_at:
                signature = hmac.digest(raw, content, sha256) if scheme == HMAC else self._private[raw].sign(content)
                made.append(f"{scheme},{b64encode(signature).decode()}")
        return " ".join(made)


def new_keys(subscription_id: UUID) -> tuple[list[Key], str]:
    """Make a key of each scheme. Returns them, and the secret to be shown once."""
    secret = _SECRET + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    pair = _PRIVATE + b64encode(private.private_bytes_raw() + public).decode()
    keys = [
        Key(HMAC, seal(subscription_id, secret)),
        Key(ED25519, seal(subscription_id, pair), _PUBLIC + b64encode(public).decode()),
    ]
    return keys, secret


def replaced(keys: Iterable[Key], *, now: datetime, ends_at: datetime) -> list[Key]:
    """Replaced keys, which sign until ``ends_at``, or until their earlier end; without those that have ended."""
    ending = [msgspec.structs.replace(key, ends_at=min(key.ends_at or ends_at, ends_at)) for key in keys]
    return [key for key in ending if key.ends_at and key.ends_at > now]


def stored(keys: Sequence[Key]) -> list[dict[str, object]]:
    """The JSON of keys, for their column."""
    built: list[dict[str, object]] = msgspec.to_builtins(keys)
    return built


def load(column: object) -> list[Key]:
    """The keys of a column."""
    return msgspec.convert(column, list[Key])


def public_keys(column: object) -> list[str]:
    """The public keys (``whpk_…``) of a column, the newest first."""
    return [key.public for key in load(column) if key.public]


def seal(subscription_id: UUID, secret: str) -> str:
    """Encrypt a secret for one subscription."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_derived(settings.SECRET_KEY)).encrypt(nonce, secret.encode(), subscription_id.bytes)
    return b64encode(nonce + sealed).decode()


def unseal(subscription_id: UUID, sealed: str) -> str:
    """Decrypt a secret. Raises Unreadable."""
    raw = b64decode(sealed)
    for source in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            plain = AESGCM(_derived(source)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], subscription_id.bytes)
            return plain.decode()
        except InvalidTag:
            continue
    raise Unreadable(
        "The secret of this webhook was encrypted with another SECRET_KEY. Add that one to SECRET_KEY_FALLBACKS, or"
        " make a new secret."
    )


@lru_cache(16)
def _derived(source: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"inventory webhook secrets").derive(source.encode())


def _raw(secret: str) -> bytes:
    return b64decode(secret.partition("_")[2])
