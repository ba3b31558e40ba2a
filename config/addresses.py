"""Where a request comes from, and how callers are counted by it."""

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """The caller's address: the peer's, or behind ``TRUSTED_PROXIES`` proxies what the outermost of them saw."""
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        seen: str = hops[-settings.TRUSTED_PROXIES]
        return seen
    return str(request.META.get("REMOTE_ADDR", ""))


@lru_cache(4096)
def network_of(address: str) -> str | None:
    """An address as callers are counted by it: of IPv6 the /64, since each customer gets one whole; None if the text is
    no address."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False).network_address)


def network_of_caller(request: HttpRequest) -> str | None:
    """``network_of`` the caller's address."""
    return network_of(address_of(request))
