"""Numbers of the environment are digits alone, within bounds."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import demo
from config.environment import Environment, port


@pytest.fixture
def env() -> Environment:
    return Environment()


@pytest.mark.parametrize(
    "value", ["1_000", "1e3", "1.5", "-1", "+5", "٣", "0x10", "", " ", "nan", "2147483648", "9" * 99]
)
def test_number_that_is_not_digits_alone_stops_the_start(
    env: Environment, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_NUMBER", value)
    with pytest.raises(ImproperlyConfigured, match=r"SOME_NUMBER: .* is not a whole number from 0 to 2,147,483,647"):
        env.int("SOME_NUMBER", 5)
    monkeypatch.setenv("PORT", value)
    with pytest.raises(SystemExit, match="PORT: "):
        demo._port()


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1_0", "1e3", "", "٣"])
def test_seconds_are_a_plain_number(env: Environment, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECONDS", value)
    with pytest.raises(ImproperlyConfigured, match=r"SOME_SECONDS: .* is not a number"):
        env.float("SOME_SECONDS", 5.0)


def test_numbers_are_read_and_have_defaults(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_NUMBER", " 60 ")
    assert (env.int("SOME_NUMBER", 5, least=60, most=60), env.float("SOME_NUMBER", 1.0)) == (60, 60.0)
    assert (env.int("ANOTHER", 5), env.float("ANOTHER", 0.5), port("8000")) == (5, 0.5, 8000)
    with pytest.raises(ImproperlyConfigured, match="from 1 to 59"):
        env.int("SOME_NUMBER", 5, least=1, most=59)
