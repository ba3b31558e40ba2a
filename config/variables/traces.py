"""Variables: traces."""

from config import environment, parsing

_traces = environment.section(
    "Traces",
    "What a trace contains, and how to read one: [Tracing](../guides/trace.md).",
)

OTEL_EXPORTER_OTLP_ENDPOINT = _traces.parsed(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "",
    parsing.collector,
    kind="URL",
    unit="URL",
    meaning=(
        "Where traces are sent, by OTLP over HTTP, such as `http://collector:4318`; `/v1/traces` is added. Without it"
        " nothing is traced. Needs the extra `otel`, which the image has."
    ),
)
OTEL_EXPORTER_OTLP_HEADERS = _traces.parsed(
    "OTEL_EXPORTER_OTLP_HEADERS",
    {},
    parsing.headers,
    kind="list",
    unit="name=value, separated by commas",
    meaning="Headers that are sent with traces, such as a token of the collector.",
    shown="none",
    is_secret=True,
)
OTEL_SERVICE_NAME = _traces.text(
    "OTEL_SERVICE_NAME",
    "inventory",
    unit="name",
    meaning="The name of this service in traces.",
)
TRACES_SHARE = _traces.decimal(
    "TRACES_SHARE",
    1.0,
    least=0.0,
    most=1.0,
    unit="share",
    meaning=(
        "The share of traces that is recorded, from 0 (none) to 1 (all), among those that begin in this service. For a"
        " trace that a caller has begun, the caller decides. `OTEL_TRACES_SAMPLER` is not used."
    ),
)
