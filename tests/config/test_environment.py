"""Values of the environment are read strictly: digits alone, within bounds, true or false."""

import os
import subprocess
import sys
from typing import Any

import pytest

from config import parsing, settings
from config.environment import Environment, Section


def section_of(**given: str) -> Section:
    return Environment(given).section("Tests")


def fault_of(section: Section) -> str:
    [fault] = section._environment.faults.values()
    return fault


@pytest.mark.parametrize(
    "value", ["1_000", "1e3", "1.5", "-1", "+5", "٣", "0x10", "", " ", "nan", "2147483648", "9" * 99]
)
def test_number_that_is_not_digits_alone_is_a_fault(value: str) -> None:
    section = section_of(SOME_NUMBER=value)
    assert section.whole("SOME_NUMBER", 5, unit="", meaning="") == 5
    assert fault_of(section) == (
        f"SOME_NUMBER: {value[:100]!r} is not a whole number from 0 to 2,147,483,647, written in the digits 0 to 9."
        " Leave it out for the default (5)."
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1_0", "1e3", "", "٣", "0"])
def test_seconds_are_a_plain_number(value: str) -> None:
    section = section_of(SOME_SECONDS=value)
    assert section.decimal("SOME_SECONDS", 5.0, unit="", meaning="") == 5.0
    assert fault_of(section).startswith(f"SOME_SECONDS: {value!r} is not a number from 0.001 to 86,400")


def test_numbers_are_read_and_have_defaults() -> None:
    section = section_of(SOME_NUMBER=" 60 ")
    facts: Any = {"unit": "", "meaning": ""}
    assert section.whole("SOME_NUMBER", 5, least=60, most=60, **facts) == 60
    assert section.decimal("SOME_NUMBER", 1.0, **facts) == 60.0
    assert section.whole("ANOTHER", 5, **facts) == 5
    assert section.whole("ANOTHER", None, **facts) is None
    assert parsing.port("8000") == 8000
    assert not section._environment.faults
    assert section.whole("SOME_NUMBER", 5, least=1, most=59, **facts) == 5
    assert "from 1 to 59" in fault_of(section)


@pytest.mark.parametrize("value", ["treu", "", "y", "2", "enabled"])
def test_what_is_neither_true_nor_false_is_no_false(value: str) -> None:
    section = section_of(SOME_FLAG=value)
    assert section.flag("SOME_FLAG", True, meaning="") is True
    assert fault_of(section) == f"SOME_FLAG: {value!r} is neither true nor false. Leave it out for the default (true)."


def test_value_of_a_secret_is_not_part_of_its_fault() -> None:
    section = section_of(SOME_SECRET="hunter2\n")
    section.text("SOME_SECRET", unit="", meaning="", is_secret=True)
    assert fault_of(section).startswith("SOME_SECRET: its value has a line break")


def test_dollar_is_a_character_like_others() -> None:
    assert section_of(SOME_SECRET="$HOME", HOME="/root").text("SOME_SECRET", unit="", meaning="") == "$HOME"


def test_address_of_a_service_of_kubernetes_is_no_port() -> None:
    section = section_of(REDIS_PORT="tcp://10.0.0.7:6379")
    assert section.port("REDIS_PORT", 6379, meaning="") == 6379
    assert not section._environment.faults


def test_demonstration_names_all_faults_and_starts_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "config.demo"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.defpath, "PORT": "eighty", "LOCK_RETRIES": "some", "DATA_DIR": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["PORT", "LOCK_RETRIES"]
