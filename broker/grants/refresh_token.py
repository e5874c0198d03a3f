"""grant_type=refresh_token (RFC 6749 section 6, RFC 9700 section 4.14.2; rules E6 to E9).

The provider is asked again where that is due, and the policy at every refresh. When the policy refuses, the refresh fails and is audited,
but the grant is kept: a rule written by mistake can be mended without every person signing in again. A grant ends by reuse, revocation,
expiry, or with the session at the provider.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn, Unpack

from broker.audit import Audit, Event
from broker.audit_fields import Fields
from broker.clock import Entropy, Ids
from broker.grants.base import JTI_BYTES, Found, TokenRequest, bound_resource, client_scopes, lifetimes
from broker.model import AuditEvent, Grant, Resource
from broker.oauth import GRANT_REFRESH_TOKEN, InvalidGrant, Reason, TemporarilyUnavailable
from broker.own_tokens import OwnTokens
from broker.policy import AccessRequest, Decision, Policy
from broker.protocol import scope
from broker.protocol.refresh_token import Turn, decide
from broker.settings import Settings
from broker.store.base import Store
from broker.token_issuer import Authorization
from broker.upstream.recheck import Recheck, Tie, Vouched
from broker.web import Params

_REFUSED = {
    Turn.REUSED: Reason.REFRESH_REUSED,
    Turn.LATE: Reason.REFRESH_RACED,
    Turn.FUTURE: Reason.REFRESH_FUTURE,
}


class RefreshTokenGrant:
    """Rotates refresh tokens."""

    grant_type = GRANT_REFRESH_TOKEN

    def __init__(
        self,
        *,
        store: Store,
        tokens: OwnTokens,
        recheck: Recheck,
        policy: Policy,
        entropy: Entropy,
        audit: Audit,
        settings: Settings,
    ) -> None:
        """Keep the collaborators."""
        self._recheck = recheck
        self._store = store
        self._tokens = tokens
        self._policy = policy
        self._ids = Ids(entropy, JTI_BYTES)
        self._audit = audit
        self._settings = settings

    async def find(self, params: Params) -> Found | None:
        """Return the grant of a genuine refresh token, whatever became of it."""
        token = params.get("refresh_token")
        row = await self._tokens.refresh_token(token) if token else None
        return Found(grant=row[0], generation=row[1]) if row else None

    async def authorize(self, request: TokenRequest, found: Found | None) -> Authorization:
        """Advance the chain, or answer its predecessor within grace with the same successor. A refusal rotates nothing (rule E9)."""
        request.params.require("refresh_token")
        if found is None:
            raise InvalidGrant(Reason.REFRESH_UNKNOWN)
        grant: Grant | None = found.grant
        for _ in range(2):
            if grant is None:  # purged meanwhile
                raise InvalidGrant(Reason.REFRESH_UNKNOWN)
            authorization = await self._advance(request, grant, found.generation)
            if authorization is not None:
                return authorization
            # Somebody else holding the same token was faster: the row now says that ours is the predecessor (rule E7).
            grant = await self._store.find_grant(grant.grant_id)
        raise TemporarilyUnavailable(Reason.OUTAGE, "a read that is behind", retry_after=1)

    async def _advance(self, request: TokenRequest, grant: Grant, generation: int) -> Authorization | None:
        """Do one turn of the chain; None when the row moved between reading and rotating."""
        _check_alive(request, grant)
        turn = decide(grant, generation, now=request.now, grace=self._settings.refresh_grace)
        if turn not in (Turn.ROTATE, Turn.REPEAT):
            await self._refuse(request, grant, generation, turn)
        target = bound_resource(self._settings.resources, request.params, grant.resource)
        granted = client_scopes(request.client, target, grant.scopes)
        scopes = scope.narrowed(target, granted, request.params.get("scope"))
        vouched = await self._vouched(grant)
        if vouched.identity is not grant.identity:
            grant = replace(grant, identity=vouched.identity)
        decision = await self._decide(request, grant, target, scopes)
        end = grant.idle_expires_at if turn is Turn.REPEAT else grant.expires_at
        life = lifetimes(decision, now=request.now, expires_at=end)
        jti = self._ids.next()
        event = self._event(
            Event.TOKEN_REFRESH_REPEATED if turn is Turn.REPEAT else Event.TOKEN_REFRESHED,
            grant,
            jti=jti,
            scope=" ".join(decision.scopes),
            rule=decision.rule,
            source=request.source,
            upstream_stale=vouched.stale or None,
        )
        if turn is Turn.REPEAT:
            if not await self._store.repeat_refresh_token(grant.handle, now=request.now, events=[event]):
                return None
        elif not await self._store.rotate_refresh_token(
            grant.handle, generation, now=request.now, idle_expires_at=life.idle_expires_at, events=[event]
        ):
            return None
        return Authorization(
            grant=grant,
            resource=target,
            scopes=decision.scopes,
            jti=jti,
            ttl=life.access_token,
            generation=generation + 1,
        )

    async def _vouched(self, grant: Grant) -> Vouched:
        """Have the provider vouch for the person again where that is due (rule B16); raises InvalidGrant, TemporarilyUnavailable."""
        try:
            return await self._recheck.vouched(Tie.of(grant), stale_allowed=True)
        except InvalidGrant as error:
            event = self._event(Event.TOKEN_REFRESH_REFUSED, grant, reason=error.reason.value, why=error.detail)
            await self._store.append_events([event])
            raise

    async def _decide(self, request: TokenRequest, grant: Grant, target: Resource, scopes: tuple[str, ...]) -> Decision:
        decision = self._policy.decide(
            AccessRequest(
                identity=grant.identity, client=request.client, resource=target, scopes=scopes, now=request.now
            )
        )
        if not decision.allowed:
            event = self._event(
                Event.TOKEN_REFRESH_REFUSED,
                grant,
                reason="policy",
                rule=decision.rule,
                why=decision.reason,
                groups_unknown=grant.identity.groups_unknown,
            )
            await self._store.append_events([event])
            raise InvalidGrant(Reason.POLICY, decision.rule)
        return decision

    async def _refuse(self, request: TokenRequest, grant: Grant, generation: int, turn: Turn) -> NoReturn:
        """Refuse a genuine token that is not the current one; reuse ends the grant (rules E6, E8)."""
        reason = _REFUSED[turn]
        about: Fields = {"reason": reason.value, "generation": generation, "source": request.source}
        if turn is Turn.REUSED:
            names = (Event.TOKEN_REFRESH_REUSED, Event.GRANT_REVOKED)
            events = [self._event(name, grant, **about) for name in names]
            await self._store.revoke_grant(grant.grant_id, now=request.now, reason=reason.value, events=events)
        else:
            await self._store.append_events([self._event(Event.TOKEN_REFRESH_REFUSED, grant, **about)])
        raise InvalidGrant(reason)

    def _event(self, name: Event, grant: Grant, **fields: Unpack[Fields]) -> AuditEvent:
        return self._audit.event(
            name,
            subject=grant.identity.subject,
            client_id=grant.client_id,
            resource=grant.resource,
            grant_id=grant.grant_id,
            **fields,
        )


def _check_alive(request: TokenRequest, grant: Grant) -> None:
    if grant.client_id != request.client.client_id:
        raise InvalidGrant(Reason.WRONG_CLIENT)
    if grant.revoked_at is not None:
        raise InvalidGrant(Reason.GRANT_REVOKED)
    if request.now >= min(grant.idle_expires_at, grant.expires_at):
        raise InvalidGrant(Reason.GRANT_EXPIRED)
