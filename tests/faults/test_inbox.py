"""Consumers of incoming events are killed, PostgreSQL crashes: every event takes effect, and each once."""

import json

from tests.faults.house import House

CLIENT = """
import django
django.setup()
from audit.roles import Role
from tests.factories import make_client
make_client(Role.CHECKOUT, name="order-system")
"""


def test_of_two_consumers_that_are_killed_again_and_again_each_event_takes_effect_once(house: House) -> None:
    house.python("-c", CLIENT)
    house.urls |= {
        "INBOX_STREAM": "shop:orders",
        "INBOX_CLIENT": "order-system",
        "INBOX_CLAIM_SECONDS": "0.5",
    }
    arguments = ["2", "30", "1", *house.products]
    found = json.loads(house.python("-m", "tests.faults.inbox_driver", *arguments, seconds=240))
    assert found["orders"] >= 30
    assert found["sold"] > 5
    assert found["letters"] == 4
