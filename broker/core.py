"""What a composed broker is made of and what outlives a request, and its life: start it before it serves, stop it after."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from broker.audit import Audit
from broker.background import Chore, running
from broker.clients import ClientResolver
from broker.clock import Clock, Entropy, SystemClock
from broker.endpoints.probes import Readiness
from broker.keys import SigningKeys
from broker.metrics import Metrics
from broker.outbound import GuardedFetcher
from broker.pages import Pages
from broker.policy import Policy
from broker.seal import Sealer
from broker.settings import Settings
from broker.store.base import Store
from broker.upstream.configured import Upstream
from broker.upstream.giving_back import GivesBack
from broker.upstream.recheck import Recheck
from broker.upstream.vault import TokenVault


class Closes(Protocol):
    """A client with connections."""

    async def aclose(self) -> None:
        """Close them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What endpoints are made of, and what outlives a request."""

    settings: Settings
    store: Store
    clock: Clock
    entropy: Entropy
    audit: Audit
    sealer: Sealer
    keys: SigningKeys
    policy: Policy
    clients: ClientResolver
    upstream: Upstream
    upstream_http: tuple[Closes, ...]
    vault: TokenVault
    recheck: Recheck
    gives_back: GivesBack
    fetcher: GuardedFetcher
    pages: Pages
    metrics: Metrics
    readiness: Readiness


class Broker:
    """A composed broker: start it before it serves, stop it after."""

    def __init__(self, core: Core) -> None:
        """Keep what has a life of its own."""
        self.core = core
        self.readiness = core.readiness
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Open the store, load or make the keys, begin the periodic work.

        Raises StoreLocked, SchemaOutdated, StoreUnavailable, WrongMasterKey; nothing runs then.
        """
        if self.readiness.started:
            return
        core = self.core
        async with AsyncExitStack() as stack:
            stack.push_async_callback(core.store.close)  # before it opens: a failed start leaves no connection behind
            await core.store.open()
            stack.push_async_callback(core.fetcher.aclose)
            for client in core.upstream_http:
                stack.push_async_callback(client.aclose)
            stack.push_async_callback(core.recheck.aclose)
            stack.push_async_callback(core.gives_back.aclose)
            await self._follow_clock()
            await core.keys.start()
            await stack.enter_async_context(running(self._chores(), core.audit))
            self._stack = stack.pop_all()
        self.readiness.started = True

    async def stop(self) -> None:
        """End the periodic work, then the connections, then the store."""
        await self._stack.aclose()

    def measure(self) -> None:
        """Refresh the gauges before a scrape."""
        for alg, created_at in self.core.keys.signing_since().items():
            self.core.metrics.key_age(alg, self.core.clock.now() - created_at)

    def _chores(self) -> tuple[Chore, ...]:
        return (
            Chore("keys", 10, self.core.keys.refresh),
            Chore("purge", 60, self._purge),
            Chore("clock", 30, self._follow_clock),
        )

    async def _purge(self) -> None:
        now = self.core.clock.now()
        await self.core.store.purge(now, audit_before=now - self.core.settings.audit_retention)

    async def _follow_clock(self) -> None:
        if isinstance(self.core.clock, SystemClock):
            self.core.clock.offset = await self.core.store.clock_offset()
