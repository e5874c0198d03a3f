"""Liveness, readiness and start-up probes, and metrics (Kubernetes' conventions; rule G12: metrics on the admin listener only)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broker.metrics import Metrics
from broker.store.base import Store, StoreUnavailable
from broker.web import NO_STORE


class Readiness:
    """Whether this process should get traffic: started, and not draining."""

    def __init__(self) -> None:
        """Not started yet."""
        self.started = False
        self.draining = False


class Probes:
    """The probe endpoints."""

    def __init__(self, readiness: Readiness, *, store: Store, metrics: Metrics, measure: Callable[[], None]) -> None:
        """`measure` refreshes gauges before a scrape."""
        self._readiness = readiness
        self._store = store
        self._metrics = metrics
        self._measure = measure

    def routes(self) -> list[Route]:
        """Return the probes of the public listener."""
        return [Route("/livez", self.livez, methods=["GET"]), Route("/readyz", self.readyz, methods=["GET"])]

    def admin_routes(self) -> list[Route]:
        """Return everything, for the admin listener."""
        return [
            *self.routes(),
            Route("/startupz", self.startupz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def livez(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """The process answers; says nothing of the database."""
        return _plain("ok")

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Started, not draining, and the database answers within a second."""
        if self._readiness.draining:
            return _plain("draining", 503)
        if not self._readiness.started:
            return _plain("starting", 503)
        try:
            await self._store.check()
        except StoreUnavailable:
            return _plain("the database does not answer", 503)
        return _plain("ok")

    async def startupz(self, request: Request) -> Response:  # noqa: ARG002
        """Keys are loaded and the schema is right."""
        return _plain("ok") if self._readiness.started else _plain("starting", 503)

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Prometheus' text format."""
        self._measure()
        return Response(self._metrics.exposition(), headers=NO_STORE, media_type="text/plain; version=0.0.4")


def _plain(text: str, status: int = 200) -> Response:
    return PlainTextResponse(text + "\n", status, headers=NO_STORE)
