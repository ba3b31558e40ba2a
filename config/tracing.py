"""The beginning and end of traces in each kind of program (``audit.traces``), and the spans of background tasks."""

from typing import TYPE_CHECKING, Any, Final

from celery import signals
from django.conf import settings

from audit import traces
from audit.traces import TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_PATH: Final = "/v1/traces"
MOST_WAITING: Final = 4096
"""The most spans that wait to be sent. Further ones are dropped, and all are lost if the process is killed."""
_running: Final[dict[str, tuple["Span", Any]]] = {}
"""The span of each task that runs in this process, by the task's id, with the token that ``spans.detach`` needs."""


def is_wanted() -> bool:
    """Whether this process is to trace (``OTEL_EXPORTER_OTLP_ENDPOINT``)."""
    return bool(settings.OTEL_EXPORTER_OTLP_ENDPOINT)


def prepare() -> None:
    """Let long-running programs trace; nothing without ``OTEL_EXPORTER_OTLP_ENDPOINT``.

    Called once, when the settings and the apps are there. No thread is started yet, which a fork would lose.
    """
    if not is_wanted():
        return
    traces.when_program_begins(_begin)
    signals.worker_process_init.connect(_begin_worker, weak=False)
    signals.worker_process_shutdown.connect(_end_worker, weak=False)
    signals.before_task_publish.connect(_pass_on, weak=False)
    signals.task_prerun.connect(_begin_task, weak=False)
    signals.task_postrun.connect(_end_task, weak=False)


def _begin(role: str) -> None:
    """Trace in this process, and send the spans in a thread."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    from audit.spans import Spans  # noqa: PLC0415

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.TRACES_SHARE)),
        resource=Resource.create({SERVICE_NAME: settings.OTEL_SERVICE_NAME, "inventory.role": role}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(
        settings.OTEL_EXPORTER_OTLP_ENDPOINT.rstrip("/") + _PATH, headers=settings.OTEL_EXPORTER_OTLP_HEADERS or None
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING))
    traces.activate(Spans(provider))


def _begin_worker(**_: Any) -> None:
    """In a process that runs tasks: its parent has no threads, which a fork would break."""
    traces.begin_program("worker")


def _end_worker(**_: Any) -> None:
    traces.end()


def _pass_on(headers: dict[str, Any], **_: Any) -> None:
    """Send the current trace along with a task."""
    if traces.active is not None and (traceparent := traces.active.traceparent()):
        headers[TRACEPARENT] = traceparent


def _begin_task(task_id: str, task: Any, **_: Any) -> None:
    if traces.active is None:
        return
    from audit import spans  # noqa: PLC0415 - only where traces are on

    span = traces.active.task(task.name, getattr(task.request, TRACEPARENT, None))
    _running[task_id] = span, spans.attach(span)


def _end_task(task_id: str, state: str | None = None, **_: Any) -> None:
    found = _running.pop(task_id, None)
    if found is None:
        return
    from audit import spans  # noqa: PLC0415 - only where traces are on

    span, token = found
    spans.detach(token)
    if state == "FAILURE":
        spans.failed(span, "task failed")
    span.end()
