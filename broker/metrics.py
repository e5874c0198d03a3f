"""Prometheus metrics: requests, tokens, logins, upstream and store latency, key age. Labels come from fixed sets only (rule G12)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from broker.audit import Event
from broker.model import AuditEvent

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOKEN_EVENTS = {
    Event.TOKEN_ISSUED: "authorization_code",
    Event.TOKEN_REFRESHED: "refresh_token",
    Event.TOKEN_REFRESH_REPEATED: "refresh_token_repeated",
}
LOGIN_EVENTS: Mapping[str, str] = {
    Event.SESSION_STARTED: "signed_in",
    Event.LOGIN_FAILED: "failed",
    Event.LOGIN_REFUSED: "refused",
}


class Durations:
    """How many operations took how long."""

    __slots__ = ("_buckets", "_sum")

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one operation."""
        self._buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self._sum += seconds

    def told(self) -> tuple[list[tuple[str, float]], float]:
        """Return the cumulative buckets, as Prometheus wants them, and the sum of seconds."""
        bounds = [*map(str, LATENCY_BUCKETS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._buckets)), strict=True)), self._sum


def _histogram(name: str, words: str, label: str, durations: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(name, words, labels=[label])
    for value, one in durations.items():
        family.add_metric([value], *one.told())
    return family


class Metrics(Collector):
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Create the collectors."""
        self._registry = CollectorRegistry()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: defaultdict[str, Durations] = defaultdict(Durations)
        self._tokens = Counter("mcp_broker_tokens", "Tokens issued.", ["grant"], registry=self._registry)
        self._logins = Counter("mcp_broker_logins", "Logins.", ["provider", "outcome"], registry=self._registry)
        self._events = Counter("mcp_broker_audit_events", "Audit events.", ["event"], registry=self._registry)
        self._upstream = Histogram(
            "mcp_broker_upstream_seconds",
            "Time an identity provider took.",
            ["provider", "operation"],
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._store = {word: Durations() for word in ("read", "change", "sweep")}
        self._counted: dict[
            str, tuple[Counter, ...]
        ] = {}  # by an event's name: finding a child costs more than counting
        self._registry.register(self)
        self._key_age = Gauge(
            "mcp_broker_signing_key_age_seconds", "Age of the key that signs.", ["alg"], registry=self._registry
        )

    def request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request; `endpoint` is a path of ours or `other`."""
        key = (endpoint, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        self._seconds[endpoint].observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted by hand, because every request counts it; the registry calls this."""
        requests = CounterMetricFamily("mcp_broker_requests", "HTTP requests.", labels=["endpoint", "method", "status"])
        for (endpoint, method, status), number in self._requests.items():
            requests.add_metric([endpoint, method, str(status)], number)
        yield requests
        yield _histogram("mcp_broker_request_seconds", "Time to answer.", "endpoint", self._seconds)
        yield _histogram("mcp_broker_store_seconds", "Time the store took.", "operation", self._store)

    def count_event(self, event: AuditEvent) -> None:
        """Count a stored audit event; the audit calls this."""
        counters = self._counted.get(event.name)
        if counters is None:
            name = Event(event.name)
            tokens = (self._tokens.labels(TOKEN_EVENTS[name]),) if name in TOKEN_EVENTS else ()
            counters = self._counted[event.name] = (self._events.labels(event.name), *tokens)
        for counter in counters:
            counter.inc()
        outcome = LOGIN_EVENTS.get(event.name)
        if outcome is not None:
            self._logins.labels(str(event.fields.get("provider", "")), outcome).inc()

    def upstream(self, provider: str) -> Callable[[str, float], None]:
        """Return the observer of one provider's HTTP client: operation, seconds."""
        return lambda operation, seconds: self._upstream.labels(provider, operation).observe(seconds)

    def store(self, operation: str, seconds: float) -> None:
        """Observe one store operation."""
        self._store[operation].observe(seconds)

    def key_age(self, alg: str, seconds: float) -> None:
        """Set the age of the key that signs with `alg`."""
        self._key_age.labels(alg).set(seconds)

    def exposition(self) -> bytes:
        """Return the text format of Prometheus."""
        return generate_latest(self._registry)
