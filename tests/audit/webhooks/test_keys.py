"""Signing keys: their forms, several at once, and their encryption."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pytest_django import Settings
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from audit.webhooks.keys import (
    Signer,
    Unreadable,
    load,
    new_keys,
    public_keys,
    replaced,
    stored,
    unseal,
)

ID = uuid7()
HOUR = timedelta(hours=1)


def test_secrets_have_the_forms_of_the_standard() -> None:
    (symmetric, asymmetric), secret = new_keys(ID)
    assert secret.startswith("whsec_")
    assert 24 <= len(b64decode(secret.removeprefix("whsec_"))) <= 64
    private = unseal(ID, asymmetric.sealed)
    assert private.startswith("whsk_")
    pair = b64decode(private.removeprefix("whsk_"))
    public = b64decode(asymmetric.public.removeprefix("whpk_"))
    assert asymmetric.public.startswith("whpk_")
    assert Ed25519PrivateKey.from_private_bytes(pair[:32]).public_key().public_bytes_raw() == pair[32:] == public
    assert unseal(ID, symmetric.sealed) == secret
    assert secret not in str(stored([symmetric, asymmetric]))
    assert load(stored([symmetric, asymmetric])) == [symmetric, asymmetric]


def test_old_and_new_keys_sign_together_until_the_old_ones_end() -> None:
    now = datetime.now(UTC)
    old, old_secret = new_keys(ID)
    new, new_secret = new_keys(ID)
    signer = Signer(ID, [*new, *replaced(old, now=now, ends_at=now + HOUR)])
    during = signer.signatures("ev-1", now, b"{}")
    assert [each.partition(",")[0] for each in during.split()] == ["v1", "v1a", "v1", "v1a"]
    headers = {"webhook-id": "ev-1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": during}
    for secret in (old_secret, new_secret):
        Webhook(secret).verify("{}", headers)
    content = f"ev-1.{int(now.timestamp())}.".encode() + b"{}"
    signed = [b64decode(each[4:]) for each in during.split() if each.startswith("v1a,")]
    for public, signature in zip(public_keys(stored([*new, *old])), signed, strict=True):
        Ed25519PublicKey.from_public_bytes(b64decode(public[5:])).verify(signature, content)
    assert len(signer.signatures("ev-1", now + HOUR, b"{}").split()) == 2
    assert replaced(old, now=now, ends_at=now) == []


def test_an_earlier_secret_key_still_reads_and_another_one_does_not(settings: Settings) -> None:
    keys, secret = new_keys(ID)
    settings.SECRET_KEY, before = "another", settings.SECRET_KEY
    settings.SECRET_KEY_FALLBACKS = [before]
    assert unseal(ID, keys[0].sealed) == secret
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(Unreadable, match="SECRET_KEY_FALLBACKS"):
        unseal(ID, keys[0].sealed)


def test_a_secret_can_not_be_moved_to_another_webhook() -> None:
    keys, _ = new_keys(ID)
    with pytest.raises(Unreadable):
        unseal(uuid7(), keys[0].sealed)
