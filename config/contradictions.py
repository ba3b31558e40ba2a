"""Contradictions between variables, each of which is valid by itself."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from config import server_addresses
from config.environment import Environment

Values = Mapping[str, Any]


class Rule(NamedTuple):
    """Variables, and the sentence about their values where they contradict each other; None where they don't.

    A rule is left out where one of its variables can't be read.
    """

    names: tuple[str, ...]
    fault: Callable[[Values], str | None]


def contradictions(environment: Environment) -> Iterator[str]:
    """The contradictions between the variables that were read, each with what to do."""
    for names, fault in _RULES:
        if not any(name in environment.faults for name in names) and (sentence := fault(environment.values)):
            yield f"{sentence}."
    yield from _other_server(environment, "DATABASE_URL", "DB_HOST", server_addresses.of_database)
    yield from _other_server(environment, "REDIS_URL", "REDIS_HOST", server_addresses.of_redis)
    yield from _above_bound(environment)


def _given(environment: Environment, name: str) -> str:
    return "" if name in environment.ignored else environment.given.get(name, "").strip()


def _other_server(
    environment: Environment, url: str, host: str, parts_of: Callable[[str], dict[str, str]]
) -> Iterator[str]:
    """Faults of the variables that give an address in parts: values that differ from the URL, or a missing host."""
    whole = _given(environment, url)
    prefix = host.partition("_")[0]
    given = {name: _given(environment, name) for name in environment.variables if name.startswith(f"{prefix}_")}
    given = {name: text for name, text in given.items() if text and name != url}
    if url in environment.faults or any(name in environment.faults for name in given):
        return
    if whole:
        said = parts_of(whole)
        for name in given:
            if str(environment.values[name]) != said[name]:
                yield f"{name} differs from {url}: leave out one of them."
    elif given and host not in given:
        yield f"{', '.join(given)} without {host} and {url}: set {host}, too, or leave out the rest."


def _above_bound(environment: Environment) -> Iterator[str]:
    """Faults of given numbers that exceed the variable that bounds them."""
    for name, bound in _BOUNDED.items():
        if name in environment.given and not {name, bound} & environment.faults.keys():
            value, most = environment.values[name], environment.values[bound]
            if value > most:
                yield f"{name} is {value}, more than {bound}, which is {most}. Lower the first or raise the second."


_BOUNDED: Final = {
    "WEBHOOK_CONNECTIONS_EACH": "WEBHOOK_CONNECTIONS",
    "GROUP_COMMIT_LOCK_TIMEOUT": "LOCK_TIMEOUT",
}
"""Variables, each with the one that bounds it. A default above its bound is no fault."""


def _holds(values: Values) -> str | None:
    least, most = values["RESERVATION_TTL_MINUTES"], values["RESERVATION_MAX_TTL_MINUTES"]
    if least <= most:
        return None
    return (
        f"RESERVATION_TTL_MINUTES is {least} and RESERVATION_MAX_TTL_MINUTES is {most}: holds would live longer than"
        " they may. Lower the first or raise the second"
    )


def _pool(values: Values) -> str | None:
    size, leaders = values["DATABASE_POOL_SIZE"], values["GROUP_COMMIT_LEADERS"]
    if not (values["GROUP_COMMIT"] and 0 < size < leaders):
        return None
    return (
        f"DATABASE_POOL_SIZE is {size} and GROUP_COMMIT_LEADERS is {leaders}: each shared transaction needs a"
        " connection. Raise the first or lower the second"
    )


def _inbox(values: Values) -> str | None:
    sources = [name for name in ("INBOX_STREAM", "INBOX_TOPICS") if values[name]]
    if not sources or values["INBOX_CLIENT"]:
        return None
    return (
        f"{' and '.join(sources)} without INBOX_CLIENT: incoming events are applied on behalf of an API client. Set"
        " INBOX_CLIENT to the name of one"
    )


def _topics(values: Values) -> str | None:
    if not values["INBOX_TOPICS"] or values["KAFKA_SERVERS"] or values["KAFKA_BROKERS"]:
        return None
    return "INBOX_TOPICS without KAFKA_SERVERS: set KAFKA_SERVERS to the servers that have them"


def _brokers(values: Values) -> str | None:
    if values["KAFKA_SERVERS"] in ("", values["KAFKA_BROKERS"]) or not values["KAFKA_BROKERS"]:
        return None
    return "KAFKA_BROKERS and KAFKA_SERVERS are two names of one setting and differ: leave out one of them"


def _mail_security(values: Values) -> str | None:
    if not (values["EMAIL_USE_TLS"] and values["EMAIL_USE_SSL"]):
        return None
    return (
        "EMAIL_USE_TLS and EMAIL_USE_SSL are both true: keep the first for STARTTLS (port 587), the second for port 465"
    )


def _mail_login(values: Values) -> str | None:
    user, password = values["EMAIL_HOST_USER"], values["EMAIL_HOST_PASSWORD"]
    if bool(user) == bool(password):
        return None
    given, missing = ("USER", "PASSWORD") if user else ("PASSWORD", "USER")
    return (
        f"EMAIL_HOST_{given} without EMAIL_HOST_{missing}: logging in to the mail server needs both. Set the other, too"
    )


def _ports(values: Values) -> str | None:
    port = values.get("METRICS_PORT")
    if not port or port != values["PORT"]:
        return None
    return f"METRICS_PORT and PORT are both {port}: metrics need a port of their own. Choose another METRICS_PORT"


_RULES: Final = (
    Rule(("RESERVATION_TTL_MINUTES", "RESERVATION_MAX_TTL_MINUTES"), _holds),
    Rule(("DATABASE_POOL_SIZE", "GROUP_COMMIT", "GROUP_COMMIT_LEADERS"), _pool),
    Rule(("INBOX_STREAM", "INBOX_TOPICS", "INBOX_CLIENT"), _inbox),
    Rule(("INBOX_TOPICS", "KAFKA_SERVERS", "KAFKA_BROKERS"), _topics),
    Rule(("KAFKA_BROKERS", "KAFKA_SERVERS"), _brokers),
    Rule(("EMAIL_USE_TLS", "EMAIL_USE_SSL"), _mail_security),
    Rule(("EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"), _mail_login),
    Rule(("METRICS_PORT", "PORT"), _ports),
)
