"""Variables: metrics."""

from config import environment
from config.variables.servers import DATA_DIR

_metrics = environment.section(
    "Metrics",
    "What is served on `METRICS_PORT`: [Metrics](metrics.md). How to use it: [Monitoring](../guides/monitor.md).",
)

METRICS_PORT = _metrics.port(
    "METRICS_PORT",
    None,
    meaning="The port on which one process of a machine serves `GET /metrics`. Without it nothing is counted.",
    shown="no metrics",
)
METRICS_HOST = _metrics.text(
    "METRICS_HOST",
    "127.0.0.1",
    unit="address",
    meaning="The address on which metrics are served. Only Prometheus should be able to reach it.",
)
METRICS_DIR = _metrics.path(
    "METRICS_DIR",
    DATA_DIR / "metrics",
    meaning=(
        "The folder where the processes of one machine, or of one container, keep their counts. It needs no backup, and"
        " is best kept in memory."
    ),
    shown="`metrics` in `DATA_DIR`",
)
METRICS_PRODUCTS = _metrics.texts(
    "METRICS_PRODUCTS",
    unit="SKUs, separated by commas",
    meaning="The products whose units on hand are served by product, as `inventory_product_stock_level`.",
)
METRICS_INTERVAL_SECONDS = _metrics.whole(
    "METRICS_INTERVAL_SECONDS",
    15,
    least=1,
    most=3600,
    unit="seconds",
    meaning="The shortest time between two readings of the database for metrics, however often they are asked for.",
)
