"""Prometheus metrics: requests, tokens, logins, upstream and store latency, key age. Labels come from fixed sets only (rule G12)."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from broker.audit import Event
from broker.model import AuditEvent

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOKEN_EVENTS = {
    Event.TOKEN_ISSUED: "authorization_code",
    Event.TOKEN_REFRESHED: "refresh_token",
    Event.TOKEN_REFRESH_REPEATED: "refresh_token_repeated",
}
LOGIN_EVENTS = {Event.SESSION_STARTED: "signed_in", Event.LOGIN_FAILED: "failed", Event.LOGIN_REFUSED: "refused"}


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Create the collectors."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mcp_broker_requests", "HTTP requests.", ["endpoint", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "mcp_broker_request_seconds",
            "Time to answer.",
            ["endpoint"],
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
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
        self._store = Histogram(
            "mcp_broker_store_seconds",
            "Time the store took.",
            ["operation"],
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._store_by = {word: self._store.labels(word) for word in ("read", "change", "sweep")}
        self._key_age = Gauge(
            "mcp_broker_signing_key_age_seconds", "Age of the key that signs.", ["alg"], registry=self._registry
        )

    def request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request; `endpoint` is a path of ours or `other`."""
        key = (endpoint, method, status)
        children = self._children.get(key)
        if children is None:  # finding a child by its labels costs more than counting; the labels are few
            children = (self._requests.labels(endpoint, method, str(status)), self._seconds.labels(endpoint))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_event(self, event: AuditEvent) -> None:
        """Count a stored audit event; the audit calls this."""
        self._events.labels(event.name).inc()
        name = Event(event.name)
        if name in TOKEN_EVENTS:
            self._tokens.labels(TOKEN_EVENTS[name]).inc()
        if name in LOGIN_EVENTS:
            self._logins.labels(str(event.fields.get("provider", "")), LOGIN_EVENTS[name]).inc()

    def upstream(self, provider: str) -> Callable[[str, float], None]:
        """Return the observer of one provider's HTTP client: operation, seconds."""
        return lambda operation, seconds: self._upstream.labels(provider, operation).observe(seconds)

    def store(self, operation: str, seconds: float) -> None:
        """Observe one store operation."""
        self._store_by[operation].observe(seconds)

    def key_age(self, alg: str, seconds: float) -> None:
        """Set the age of the key that signs with `alg`."""
        self._key_age.labels(alg).set(seconds)

    def exposition(self) -> bytes:
        """Return the text format of Prometheus."""
        return generate_latest(self._registry)
