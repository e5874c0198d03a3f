"""Asks the provider again whether it still vouches for somebody (architecture, "upstream tie"; rules B14, B16).

One process at a time, by a lease in the database; within a process, one task that everybody waits for. The task outlives whoever asked:
a provider that rotates has spent the old refresh token, so its answer is stored whatever became of the request.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from math import ceil
from typing import Unpack

from broker.audit import Audit, Event
from broker.audit_fields import Fields
from broker.clock import Clock, Entropy
from broker.model import AuditEvent, Grant, Identity, UpstreamSession
from broker.oauth import InvalidGrant, Reason, TemporarilyUnavailable
from broker.seal import SealBroken
from broker.store.base import Store, StoreUnavailable
from broker.upstream.configured import Upstream
from broker.upstream.judgement import SKEW, Consequence, as_upstream, consequence, describe, is_due
from broker.upstream.outage import Outages
from broker.upstream.vault import TokenVault
from providers.base import Fault, UpstreamError, UpstreamIdentity

ANSWER = 9.5  # seconds until whoever waits is told to come back
RETRIED = 5.0  # seconds for which a provider that is down is asked again
PAUSES = (0.25, 0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5)  # seconds between two looks
STORED_AGAIN = (0.5, 1.0, 2.0)  # seconds between attempts to store an answer that cannot be had twice
LEASE_MARGIN = 20  # seconds beyond the provider's time limit
RETRY_AFTER = 5  # seconds, in every 503
ALERT_AGAIN = 60  # seconds between two alerts of one kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """What a session or a grant knows of its upstream session; None where it has none."""

    identity: Identity
    upstream_session_id: str | None
    checked_at: int | None

    @classmethod
    def of(cls, held: UpstreamSession | Grant) -> Tie:
        """Return the tie of an upstream session itself, or of a grant that hangs on one."""
        return cls(identity=held.identity, upstream_session_id=held.upstream_session_id, checked_at=held.checked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Somebody for whom the provider vouched. `stale`: it should have been asked again, and could not be."""

    identity: Identity
    checked_at: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class _Ended:
    reason: str


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: Reason
    again: bool  # whether another attempt within seconds makes sense
    outage: bool = True  # the provider is down, or refuses our own credentials: STALE_LIMIT is for that


_Outcome = Vouched | _Ended | _Failed


class Recheck:
    """Re-checks upstream sessions that are due."""

    def __init__(
        self, upstream: Upstream, *, store: Store, vault: TokenVault, audit: Audit, clock: Clock, entropy: Entropy
    ) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._store = store
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._outages = Outages()
        self._running: dict[str, asyncio.Task[_Outcome]] = {}

    def is_due(self, tie: Tie) -> bool:
        """Tell whether the provider has to be asked before anything is issued on this; never for one that is not configured."""
        config = self._upstream.config(tie.identity.provider)
        if config is None:
            return False
        return is_due(tie.checked_at, now=self._clock.now(), interval=config.adapter.recheck_interval)

    def is_possible(self, tie: Tie) -> bool:
        """Tell whether the provider can be asked at all; otherwise only a new sign-in helps."""
        return tie.upstream_session_id is not None and self._upstream.refresher(tie.identity.provider) is not None

    async def vouched(self, tie: Tie, *, stale_allowed: bool) -> Vouched:
        """Return the person as the provider vouches for them, asked again when that is due.

        `stale_allowed`: within STALE_LIMIT a provider that is down is waited out, and not asked where it was just found so.
        Raises InvalidGrant when the session there has ended, TemporarilyUnavailable when it could not be asked, StoreUnavailable.
        """
        if not self.is_due(tie):
            return Vouched(identity=tie.identity, checked_at=tie.checked_at or 0)
        if tie.upstream_session_id is None:
            raise InvalidGrant(Reason.UPSTREAM_ENDED, "nothing to ask with")
        if stale_allowed and self._within_stale_limit(tie) and self._is_spared(tie.identity.provider):
            return Vouched(identity=tie.identity, checked_at=tie.checked_at or 0, stale=True)
        outcome = await self._shared(tie.upstream_session_id, tie.identity.provider)
        if isinstance(outcome, Vouched):
            return outcome
        if isinstance(outcome, _Ended):
            raise InvalidGrant(Reason.UPSTREAM_ENDED, outcome.reason)
        if stale_allowed and outcome.outage and self._within_stale_limit(tie):
            return Vouched(identity=tie.identity, checked_at=tie.checked_at or 0, stale=True)
        raise TemporarilyUnavailable(outcome.reason, retry_after=RETRY_AFTER)

    async def aclose(self) -> None:
        """Wait for the answers that are on their way: a spent refresh token must not be lost with them."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=ANSWER)

    def _within_stale_limit(self, tie: Tie) -> bool:
        config = self._upstream.config(tie.identity.provider)
        if config is None or tie.checked_at is None:
            return False
        age = self._clock.now() - tie.checked_at
        return 0 <= age < config.adapter.recheck_interval + config.stale_limit

    def _is_spared(self, provider: str) -> bool:
        return self._outages.spares(provider, now=self._clock.monotonic())

    async def _shared(self, upstream_session_id: str, provider: str) -> _Outcome:
        """Wait for the one task of this process, no longer than a person would."""
        task = self._running.get(upstream_session_id)
        if task is None:
            task = asyncio.create_task(self._recheck(upstream_session_id, provider))
            self._running[upstream_session_id] = task
            task.add_done_callback(lambda _: self._running.pop(upstream_session_id, None))
        done, _ = await asyncio.wait({task}, timeout=ANSWER)
        return task.result() if done else _Failed(Reason.UPSTREAM_FAILED, again=True)

    async def _recheck(self, upstream_session_id: str, provider: str) -> _Outcome:
        config = self._upstream.config(provider)
        assert config is not None  # noqa: S101 - only what is configured is ever due
        interval, limit = config.adapter.recheck_interval, ceil(config.adapter.timeout) + LEASE_MARGIN
        lease, began = self._entropy.token(16), self._clock.monotonic()
        failed = nobody = _Failed(Reason.UPSTREAM_FAILED, again=True)  # somebody else asks, and does not come back
        for pause in (*PAUSES, None):
            now = self._clock.now()
            session = await self._store.lease_upstream_session(
                upstream_session_id, lease=lease, now=now, until=now + limit, due=now - interval, skew=SKEW
            )
            outcome = await self._ask(session, lease, interval) if session else await self._found(upstream_session_id)
            if isinstance(outcome, Vouched | _Ended):
                return outcome
            failed = outcome or failed
            waited = self._clock.monotonic() - began
            if pause is None or not failed.again or (outcome is not None and waited >= RETRIED):
                break
            await self._clock.sleep(pause)
        if failed is not nobody and failed.again and failed.outage:
            self._outages.seen(provider, now=self._clock.monotonic())
        return failed

    async def _found(self, upstream_session_id: str) -> _Outcome | None:
        """Return what somebody else made of it; None while they are at it."""
        session = await self._store.find_upstream_session(upstream_session_id)
        if session is None:
            return _Ended("forgotten")
        if session.ended_at is not None:
            return _Ended(session.ended_reason or "ended")
        if self.is_due(Tie.of(session)):
            return None
        return Vouched(identity=session.identity, checked_at=session.checked_at)

    async def _ask(self, session: UpstreamSession, lease: str, interval: int) -> _Outcome | None:
        async with (
            AsyncExitStack() as undo
        ):  # after a defect of the adapter whoever asks next must not wait for the lease
            undo.push_async_callback(self._give_back, session, lease)
            told = await self._told(session)
            undo.pop_all()
        if isinstance(told, UpstreamError):
            return await self._refused(session, lease, told)
        self._outages.over(session.identity.provider)
        return await self._renew(session, lease, told, interval)

    async def _told(self, session: UpstreamSession) -> UpstreamIdentity | UpstreamError:
        """Return what the provider says, or why it says nothing."""
        adapter = self._upstream.refresher(session.identity.provider)
        if adapter is None or session.sealed_tokens is None:
            return UpstreamError(Fault.INTERACTION, "nothing_to_ask_with")
        try:
            tokens = self._vault.open(session.identity, session.sealed_tokens, now=self._clock.now())
            return await adapter.refresh(tokens, as_upstream(session.identity))
        except SealBroken:  # the master key changed without the old one in the list, which can be mended
            return UpstreamError(Fault.OPERATOR, "tokens_seal_broken")
        except UpstreamError as error:
            return error

    async def _give_back(self, session: UpstreamSession, lease: str) -> None:
        await self._store.release_upstream_session(
            session.upstream_session_id, lease=lease, sealed_tokens=None, events=()
        )

    async def _renew(
        self, session: UpstreamSession, lease: str, told: UpstreamIdentity, interval: int
    ) -> _Outcome | None:
        """Store what was told before anything is made of it; None when it was another's to store.

        A `sid` that only this answer named, and that was logged out meanwhile, ends what the answer would have kept (rule B17).
        """
        now = self._clock.now()
        age = now - session.known_at
        described = describe(session.identity, told, age=age, interval=interval)
        kept = described.kept_because
        renewed = replace(
            session,
            identity=described.identity,
            sealed_tokens=self._vault.seal(described.identity, told.tokens) if told.tokens else session.sealed_tokens,
        )
        event = self._event(
            Event.UPSTREAM_RECHECKED, session, groups_kept=kept, groups_unknown=described.identity.groups_unknown
        )
        known_at = session.known_at if kept else now
        config = self._upstream.config(session.identity.provider)
        ends_grants = config is None or config.logout_ends_grants
        for pause in (*STORED_AGAIN, None):
            try:
                if await self._store.renew_upstream_session(
                    renewed, lease=lease, now=now, known_at=known_at, events=[event], ends_grants=ends_grants
                ):
                    return Vouched(identity=described.identity, checked_at=now)
                return await self._end(session, lease, "logout") if ends_grants else None
            except StoreUnavailable:
                if pause is None:
                    raise
                await self._clock.sleep(pause)
        return None

    async def _refused(self, session: UpstreamSession, lease: str, error: UpstreamError) -> _Outcome | None:
        """Do what a failure leads to; tokens that came with it are kept, the old ones may be dead."""
        reason = error.reason
        provider = session.identity.provider
        what = consequence(error.fault)
        if what is Consequence.END:
            return await self._end(session, lease, reason, fault=error.fault.value)
        events = []
        if what is Consequence.ALERT and await self._is_news(provider, reason):
            events.append(self._event(Event.UPSTREAM_ALERT, session, fault=error.fault.value, reason=reason))
        else:
            self._audit.log("upstream.unavailable", "warning", provider=provider, fault=error.fault, reason=reason)
        sealed = self._vault.seal(session.identity, error.tokens) if error.tokens else None
        await self._store.release_upstream_session(
            session.upstream_session_id, lease=lease, sealed_tokens=sealed, events=events
        )
        if what is Consequence.ALERT:
            return _Failed(Reason.UPSTREAM_MISCONFIGURED, again=False)
        return _Failed(Reason.UPSTREAM_FAILED, again=True, outage=error.fault is Fault.TRANSIENT)

    async def _end(
        self, session: UpstreamSession, lease: str, reason: str, fault: str | None = None
    ) -> _Outcome | None:
        """End it, and say so; None when the lease is another's, or it ended already."""
        event = self._event(Event.UPSTREAM_ENDED, session, fault=fault, reason=reason)
        ended = await self._store.end_upstream_session(
            session.upstream_session_id, lease=lease, now=self._clock.now(), reason=reason, events=[event]
        )
        return _Ended(reason) if ended else None

    async def _is_news(self, provider: str, reason: str) -> bool:
        """Tell whether nobody recorded this within a minute: everybody's refresh finds the same, and the trail is not a log."""
        now = self._clock.now()
        return await self._store.first_use(
            "upstream-alert", f"{provider} {reason}", expires_at=now + ALERT_AGAIN, now=now
        )

    def _event(self, name: Event, session: UpstreamSession, **fields: Unpack[Fields]) -> AuditEvent:
        about: Fields = {
            "provider": session.identity.provider,
            "upstream_session": session.upstream_session_id,
            **fields,
        }
        return self._audit.event(name, subject=session.identity.subject, **about)
