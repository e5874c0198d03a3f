"""Gives a person's tokens back to the provider (RFC 7009 or its like) once nothing here needs them: after the end here, and apart from it.

Only where nothing of that person lives here any more: many providers count all sign-ins of a person through one client as one grant, and
would end the others' tokens along (rule B14). A token that all sessions share (GitHub) is therefore not given back by one of them.
"""

from __future__ import annotations

import asyncio

from broker.audit import Audit, Event
from broker.clock import Clock
from broker.model import UpstreamSession
from broker.seal import SealBroken
from broker.store.base import Store, StoreUnavailable
from broker.upstream.configured import Upstream
from broker.upstream.vault import TokenVault
from providers.base import UpstreamError

AT_ONCE = 32  # a provider that hangs must not let them pile up; what is beyond that is not given back
DRAIN = 3.0  # seconds that the end of the process waits for what is on its way
NO_PLACE = "no_revocation_endpoint"


class GivesBack:
    """Gives tokens back, in the background of a request or at a command."""

    def __init__(self, upstream: Upstream, *, store: Store, vault: TokenVault, audit: Audit, clock: Clock) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._store = store
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, session: UpstreamSession) -> None:
        """Begin to give back what a session held that has just signed out here; nobody waits for it."""
        if self._upstream.returner(session.identity.provider) is None or len(self._running) >= AT_ONCE:
            return
        task = asyncio.create_task(self._after_sign_out(session))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def aclose(self) -> None:
        """Wait a while for what is on its way, and let the rest go."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=DRAIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def give_back(self, session: UpstreamSession) -> bool:
        """Give a session's tokens back and record what became of it; raises StoreUnavailable. It must have ended here before."""
        identity = session.identity
        adapter = self._upstream.returner(identity.provider)
        if adapter is None or session.sealed_tokens is None:
            return False
        try:
            tokens = self._vault.open(identity, session.sealed_tokens, now=self._clock.now())
            reason = None if await adapter.revoke(tokens) else NO_PLACE
        except SealBroken:
            reason = "tokens_seal_broken"
        except UpstreamError as error:
            reason = error.reason
        event = self._audit.event(
            Event.UPSTREAM_NOT_GIVEN_BACK if reason else Event.UPSTREAM_GIVEN_BACK,
            subject=identity.subject,
            provider=identity.provider,
            upstream_session=session.upstream_session_id,
            reason=reason,
        )
        await self._store.append_events([event])
        return reason is None

    async def _after_sign_out(self, session: UpstreamSession) -> None:
        subject = session.identity.subject
        try:
            kept = await self._store.find_upstream_session(session.upstream_session_id)
            if kept is not None and kept.sealed_tokens is not None:  # an app's grant hangs on it, or it is a shared one
                return
            held = await self._store.holdings(subject, now=self._clock.now())
            if not held.sessions and not held.grants:
                await self.give_back(session)
        except StoreUnavailable:
            self._audit.log("upstream.not_given_back", "warning", provider=session.identity.provider, reason="outage")
