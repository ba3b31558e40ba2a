"""What the doctor looks at in the background: the components of the status in detail, each with what to do."""

from collections.abc import Iterator
from typing import Final

from audit import heartbeats
from config.doctor.lines import Line, Outcome, choose, lasting, ok, warn
from config.health import facts
from config.health.components import Component, Status, of_facts
from config.health.facts import Facts

_OUTCOMES: Final = {Status.UP: Outcome.OK, Status.DEGRADED: Outcome.WARN, Status.DOWN: Outcome.FAIL}
_COMMANDS: Final = {
    heartbeats.BEAT: "start the scheduler: celery -A config beat",
    heartbeats.SWEEPER: "start the sweeper: celery -A config worker --queues sweep",
    heartbeats.WORKER: "start a worker: celery -A config worker --queues celery",
    heartbeats.RELAY: "start a relay: manage.py relay_events",
    heartbeats.CANARY: "a worker runs it each minute, and logs what stops it as canary_failed",
}
_RELAY: Final = "is a relay running? Its log names the cause as relay_waits"


def examine_background() -> Iterator[Line]:
    """Heartbeats, lags, dead letters, the last reconciliation and the last backup."""
    found = facts.read()
    components = of_facts(found)
    yield _reservations(components["reservations"])
    for name in heartbeats.expected():
        yield _process(name, components[name], _COMMANDS[name])
    yield _lagging("feed", components["feed"], _RELAY)
    for name in found.stream_lags:
        yield _lagging(f"stream {name}", components[f"stream {name}"], _RELAY)
    yield _lagging("webhooks", components["webhooks"], "does a receiver answer slowly? Is a relay running?")
    yield from _dead_letters(found)
    yield _reconciliation(found, components["reconciliation"])
    yield _backup(components["backup"])


def _reservations(component: Component) -> Line:
    details = component.details
    number = details["stuckReservations"]
    found = f"{number} stuck, {details['activeReservations']:,} active"
    return _line("reservations", component, found, "is the sweeper running? manage.py expire_due_holds ends them")


def _process(name: str, component: Component, todo: str) -> Line:
    age = component.details["ageSeconds"]
    found = "no heartbeat yet" if age is None else f"last heartbeat {lasting(age)} ago"
    if machine := component.details.get("machine"):
        found += f", on {machine}"
    return _line(name, component, found, todo)


def _lagging(name: str, component: Component, todo: str) -> Line:
    lag = component.details["lagSeconds"]
    return _line(name, component, f"{lasting(lag)} behind" if lag else "up to date", todo)


def _dead_letters(found: Facts) -> Iterator[Line]:
    places = {"webhook": "deliveries that failed", "inbox": "incoming events that were put aside"}
    for name, number in found.dead_letters.items():
        todo = f"look at the {places[name]} in the console, and send or replay them again"
        yield choose(f"dead letters, {name}", f"{number:,} {places[name]}", todo, is_bad=number > 0)


def _reconciliation(found: Facts, component: Component) -> Line:
    last = found.reconciled
    if last is None:
        return warn("reconciliation", "it has never run", "run manage.py reconcile, or wait for the nightly run")
    shown = f"{last.differences} differences, {lasting(last.age.total_seconds())} ago"
    return _line("reconciliation", component, shown, "run manage.py reconcile, which lists the differences")


def _backup(component: Component) -> Line:
    age = component.details.get("ageSeconds")
    if age is None:
        return warn("backup", "none was recorded", "let the script that makes backups call manage.py record_backup")
    return _line("backup", component, f"the last one was made {lasting(age)} ago", "find out why no backup was made")


def _line(subject: str, component: Component, found: str, todo: str) -> Line:
    outcome = _OUTCOMES[component.status]
    return ok(subject, found) if outcome is Outcome.OK else Line(subject, outcome, found, todo)
