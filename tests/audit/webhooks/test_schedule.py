"""When a delivery is tried again. Pure."""

from datetime import UTC, datetime, timedelta

import pytest

from audit.webhooks.schedule import DELAYS, LONGEST_RETRY_AFTER, next_attempt, parse_retry_after

NOW = datetime(2026, 1, 15, 10, tzinfo=UTC)


def test_ten_attempts_span_three_days_with_jitter() -> None:
    assert sum(DELAYS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    for attempts, delay in enumerate(DELAYS, 1):
        least = next_attempt(attempts, now=NOW, chance=lambda: 0.0)
        most = next_attempt(attempts, now=NOW, chance=lambda: 1.0)
        assert (least, most) == (NOW + 0.9 * delay, NOW + 1.1 * delay)
    assert len({next_attempt(3, now=NOW) for _ in range(50)}) > 40
    assert next_attempt(10, now=NOW) is None


def test_an_ordered_webhook_never_gives_up() -> None:
    at = next_attempt(50, now=NOW, is_endless=True, chance=lambda: 0.5)
    assert at == NOW + timedelta(hours=24)


def test_a_receiver_may_ask_for_more_time_but_not_for_less() -> None:
    hour = timedelta(hours=1)
    assert next_attempt(1, now=NOW, retry_after=hour) == NOW + hour
    assert next_attempt(5, now=NOW, retry_after=hour, chance=lambda: 0.5) == NOW + 5 * hour


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("999999999999999999999", 86_400),
        ("Thu, 15 Jan 2026 10:02:00 GMT", 120),
        ("Thu, 15 Jan 2026 09:00:00 GMT", 0),
        ("Thu, 15 Jan 2099 09:00:00 GMT", 86_400),
        ("Thu, 15 Jan 2026 11:00:00 +0059", 60),
        ("Thu, 15 Jan 99999 09:00:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_and_bounded(text: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after(text, now=NOW) == expected
    assert expected is None or expected <= LONGEST_RETRY_AFTER
