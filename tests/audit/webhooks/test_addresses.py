"""Which addresses webhooks are sent to, checked on the address that is connected to."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import Settings

from audit.errors import Invalid
from audit.webhooks.addresses import Lookups, check_url, is_allowed
from audit.webhooks.sending import Outcome, Receiver
from tests import loops
from tests.audit.webhooks.receiver import HttpReceiver

REFUSED = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.9.10",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2001:2::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.0.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_allowed(ip_address(address), [])


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), [])


def test_a_setting_allows_networks_whatever_the_form_of_the_address() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::1"):
        assert is_allowed(ip_address(address), allowed)
    for address in ("10.2.0.1", "::ffff:10.2.0.1", "fc00::1", "127.0.0.1"):
        assert not is_allowed(ip_address(address), allowed)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https:///path",
        "//example.com",
        "example.com",
        "",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com/#part",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://exämple.com/",
        "https://example.com/\n",
        "https://example.com:99999/",
        "https://[::1/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_a_url_that_can_not_be_meant_is_refused_at_once(settings: Settings, url: str) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS, settings.WEBHOOK_ALLOW_HTTP = [], False
    with pytest.raises(Invalid) as caught:
        check_url(url)
    assert caught.value.faults[0].pointer == "/url"


def test_a_plain_url_is_taken(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS, settings.WEBHOOK_ALLOW_HTTP = [], False
    for url in ("https://example.com", "https://example.com:8443/a?b=c", "https://1.1.1.1/", "https://[2606:4700::1]/"):
        check_url(url)
    settings.WEBHOOK_ALLOW_HTTP = True
    check_url("http://example.com/")


def post(url: str) -> Outcome:
    async def send() -> Outcome:
        lookups = Lookups()
        try:
            async with Receiver(lookups) as receiver:
                return await receiver.post(url, {"webhook-id": "x"}, b"{}")
        finally:
            lookups.close()

    return loops.run(send())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
def test_nothing_is_sent_to_a_refused_address_however_it_is_written(settings: Settings, host: str) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    with HttpReceiver() as receiver:
        outcome = post(receiver.url(host=host))
        assert receiver.requests == []
    assert outcome.status is None
    assert "WEBHOOK_ALLOWED_NETWORKS" in outcome.answer


def test_the_address_that_was_checked_is_connected_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public at its first look-up and private at the next one reaches nothing private."""
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.1/32")]
    lookups: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebinding.test":
            return real(host, port, *args, **kwargs)
        lookups.append(host)
        return real("127.0.0.1" if len(lookups) == 1 else "127.0.0.2", port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with HttpReceiver() as receiver:
        outcome = post(receiver.url(host="rebinding.test"))
        assert (outcome.status, len(lookups)) == (204, 1)
        assert receiver.requests[0].headers["host"] == f"rebinding.test:{receiver.port}"
        outcome = post(receiver.url(host="rebinding.test"))
        assert (outcome.status, len(receiver.requests)) == (None, 1)
        assert "127.0.0.2" in outcome.answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a certificate of ``localhost`` alone, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return str(path)


def test_certificates_are_verified(settings: Settings, certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with HttpReceiver(tls) as receiver:
        unknown = post(receiver.url(host="localhost"))
        settings.WEBHOOK_CA_FILE = certificate
        known = post(receiver.url(host="localhost"))
        other_name = post(receiver.url(host="127.0.0.1"))
    assert (unknown.status, other_name.status, known.status) == (None, None, 204)
    assert "certificate verify failed" in unknown.answer.lower()
    assert "certificate verify failed" in other_name.answer.lower()
    assert len(receiver.requests) == 1
