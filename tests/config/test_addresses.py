"""The address that a request came from, and the network by which it is counted."""

import pytest
from django.conf import LazySettings
from django.http import HttpRequest

from config import addresses


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("[2001:DB8:1:2::9]", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", None),
        ("unknown", None),
    ],
)
def test_callers_are_counted_by_network(address: str, network: str | None) -> None:
    assert addresses.network_of(address) == network


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
    assert addresses.address_of(request) == address
