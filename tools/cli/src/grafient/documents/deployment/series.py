"""Names of the services' series, and questions to Prometheus about them. A metric that is renamed is renamed here, too."""

from prometheus_client import Counter, Gauge, Histogram


def name(metric: Counter | Gauge | Histogram) -> str:
    """Of its series; of a histogram the first part of their names."""
    described = next(iter(metric.describe()))
    return f"{described.name}_total" if described.type == "counter" else described.name


def increased(metric: Counter, span: str, labels: str = "", by: str = "") -> str:
    """By how much a counter grew within `span`, in all processes."""
    return f"sum{_by(by)}(increase({name(metric)}{labels}[{span}]))"


def rate(metric: Counter, by: str = "") -> str:
    """How often a counter was raised in a second, in all processes, over the span that a graph suggests."""
    return f"sum{_by(by)}(rate({name(metric)}[$__rate_interval]))"


def quantile(metric: Histogram, share: float) -> str:
    """The value below which a `share` of the observations is."""
    return f"histogram_quantile({share}, sum by (le) (rate({name(metric)}_bucket[$__rate_interval])))"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else " "
