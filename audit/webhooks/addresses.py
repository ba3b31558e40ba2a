"""Which addresses webhooks may be sent to. The IP address that is connected to is checked, not another look-up of the
host."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from audit.errors import Invalid

Address = IPv4Address | IPv6Address
MOST_URL: Final = 2000
_MOST_TRIED: Final = 4
_LOOKUPS: Final = 64
_REFUSED: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # The metadata service of Azure has a public address.
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/3",  # All below 2000::/3, including those that contain an IPv4 address (::ffff:0:0/96).
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
            "4000::/2",
            "8000::/1",
        ),
    )
)
_CONTAINS_IPV4: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
"""IPv6 networks whose addresses contain an IPv4 address, with its distance from the right in bits."""


class AddressRefused(Exception):
    """A host has no address that webhooks may be sent to."""


def is_allowed(address: Address, allowed: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether webhooks may be sent to an address: to public ones, and to those in the ``allowed`` networks.

    An IPv6 address that contains an IPv4 address is refused, unless one of the two is in ``allowed``.
    """
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address))  # Without a zone, such as %eth0.
    allowed = tuple(allowed)
    forms = [address, *_contained(address)]
    if any(form in network for form in forms for network in allowed if form.version == network.version):
        return True
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def _contained(address: Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    return [IPv4Address((int(address) >> bits) & 0xFFFFFFFF) for network, bits in _CONTAINS_IPV4 if address in network]


def allowed_networks() -> Sequence[IPv4Network | IPv6Network]:
    """The networks of ``WEBHOOK_ALLOWED_NETWORKS``."""
    return settings.WEBHOOK_ALLOWED_NETWORKS


def check_url(url: str) -> None:
    """Check the address of a webhook, as far as that is possible without a look-up of its host. Raises Invalid."""
    if fault := _fault(url):
        raise Invalid.at("/url", fault)


def _fault(url: str) -> str:  # noqa: PLR0911 - a sentence for each fault
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "A URL has printable ASCII characters alone: encode others (%20, xn--…)."
    if len(url) > MOST_URL:
        return f"A URL has at most {MOST_URL} characters."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"This is not a URL: {error}."
    if parts.scheme not in ("https", "http") or not host:
        return "A webhook's URL is complete: https://example.com/path."
    if parts.scheme == "http" and not settings.WEBHOOK_ALLOW_HTTP:
        return "Use https: http is not allowed here (WEBHOOK_ALLOW_HTTP)."
    if parts.username is not None or parts.password is not None:
        return "A URL here has no user name and no password: requests are signed."
    if parts.fragment or "\\" in url:
        return "A URL here has no fragment (#…) and no backslash."
    try:
        literal = ip_address(host)
    except ValueError:
        return ""
    return "" if is_allowed(literal, allowed_networks()) else refusal(host, [literal])


def refusal(host: str, addresses: Sequence[Address]) -> str:
    """The message for a host whose addresses aren't allowed."""
    found = ", ".join(map(str, addresses[:_MOST_TRIED]))
    return (
        f"Webhooks aren't sent to {host} ({found}): private and reserved addresses are allowed only in"
        " WEBHOOK_ALLOWED_NETWORKS."
    )


class Lookups:
    """Looks up hosts in threads of its own; several requests for the same host at a time share one look-up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, "webhook-lookup")
        self._running: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """The addresses of a host. Raises OSError."""
        running = self._running.get((host, port))
        if running is None:
            loop = asyncio.get_running_loop()
            running = self._running[host, port] = asyncio.ensure_future(
                loop.run_in_executor(self._threads, _look_up, host, port)
            )
            running.add_done_callback(lambda ended: self._end(host, port, ended))
        return await asyncio.shield(running)

    def _end(self, host: str, port: int, ended: asyncio.Future[list[Address]]) -> None:
        self._running.pop((host, port), None)
        if not ended.cancelled():
            ended.exception()  # The waiting request may have been cancelled.

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


async def connect(
    lookups: Lookups, host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to an allowed address of a host: the one that was checked. With ``tls``, its certificate is verified.

    Raises AddressRefused and OSError.
    """
    try:
        found = await lookups.addresses(host, port)
    except OSError as error:
        raise OSError(f"{host} was not found: {error.strerror or error}") from error
    usable = [address for address in found if is_allowed(address, allowed_networks())][:_MOST_TRIED]
    if not usable:
        raise AddressRefused(refusal(host, found))
    for address in usable[:-1]:
        with contextlib.suppress(OSError):
            return await _connect(address, host, port, tls)
    return await _connect(usable[-1], host, port, tls)


async def _connect(
    address: Address, host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(str(address), port, ssl=tls, server_hostname=host if tls else None)
