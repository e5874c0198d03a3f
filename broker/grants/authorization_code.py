"""grant_type=authorization_code (RFC 6749 section 4.1.3, RFC 7636 section 4.5, RFC 8707 section 2.2; rules E1 to E5, A14)."""

from __future__ import annotations

from broker.audit import Audit, Event
from broker.audit_fields import AboutGrant
from broker.clock import Entropy, Ids
from broker.grants.base import JTI_BYTES, Found, Lifetimes, TokenRequest, bound_resource, client_scopes, lifetimes
from broker.model import AuditEvent, AuthorizationCode, Grant, Resource, digest
from broker.oauth import GRANT_AUTHORIZATION_CODE, GRANT_REFRESH_TOKEN, InvalidGrant, Reason
from broker.policy import AccessRequest, Decision, Policy
from broker.protocol.code import WRONG_VERIFIER, check_redeemable
from broker.protocol.redirect_uri import is_loopback
from broker.settings import Settings
from broker.store.base import Store
from broker.token_issuer import Authorization
from broker.web import Params


class AuthorizationCodeGrant:
    """Redeems authorization codes."""

    grant_type = GRANT_AUTHORIZATION_CODE

    def __init__(self, *, store: Store, policy: Policy, entropy: Entropy, audit: Audit, settings: Settings) -> None:
        """Keep the collaborators."""
        self._store = store
        self._policy = policy
        self._ids = Ids(entropy, JTI_BYTES)
        self._audit = audit
        self._settings = settings

    async def find(self, params: Params) -> Found | None:
        """Return the code and its grant, redeemed and expired ones included."""
        code = params.get("code")
        row = await self._store.find_code(digest(code)) if code else None
        return Found(code=row[0], grant=row[1]) if row else None

    async def authorize(self, request: TokenRequest, found: Found | None) -> Authorization:
        """Redeem the code once. Every check comes before the redemption: a refused request spends nothing (rule E4)."""
        request.params.require("code")
        verifier = request.params.require("code_verifier")
        if found is None or found.code is None:
            raise InvalidGrant(Reason.CODE_UNKNOWN)
        code, grant = found.code, found.grant
        await self._prove(request, code, verifier)
        if grant.revoked_at is not None:
            raise InvalidGrant(Reason.GRANT_REVOKED)
        target = bound_resource(self._settings.resources, request.params, code.resource)
        events = await self._check_source(request, code, grant)
        decision = await self._decide(request, code, grant, target)
        refreshes = GRANT_REFRESH_TOKEN in request.client.grant_types
        life = self._lifetimes(decision, request.now, refreshes=refreshes)
        jti = self._ids.next()
        events.append(self._issued(request, grant, decision, jti))
        # Consume before minting: a signing failure may cost the code, never its single use.
        redeemed = await self._store.redeem_code(
            code.code_hash,
            now=request.now,
            generation=1 if refreshes else 0,
            idle_expires_at=life.idle_expires_at,
            expires_at=life.expires_at,
            events=events,
        )
        if not redeemed:  # another request was faster by less than a moment
            raise InvalidGrant(Reason.CODE_RETRIED)
        return Authorization(
            grant=grant,
            resource=target,
            scopes=decision.scopes,
            jti=jti,
            ttl=life.access_token,
            generation=1 if refreshes else None,
        )

    async def _prove(self, request: TokenRequest, code: AuthorizationCode, verifier: str) -> None:
        """Check the code and its proof; a wrong verifier counts, a proven replay ends the grant (rules E1, E2, E4)."""
        try:
            check_redeemable(code, request.client, verifier, request.params.get("redirect_uri"), request.now)
        except InvalidGrant as refused:
            ids = AboutGrant(client_id=code.client_id, resource=code.resource, grant_id=code.grant_id)
            if refused.reason is Reason.CODE_REPLAYED:
                names = (Event.CODE_REPLAYED, Event.GRANT_REVOKED)
                events = [self._audit.event(name, **ids, reason=refused.reason.value) for name in names]
                await self._store.revoke_grant(
                    code.grant_id, now=request.now, reason=refused.reason.value, events=events
                )
            elif refused.reason in WRONG_VERIFIER and code.redeemed_at is None:
                event = self._audit.event(Event.CODE_ATTEMPT_FAILED, **ids, source=request.source)
                await self._store.count_wrong_attempt(code.code_hash, events=[event])
            raise

    async def _check_source(self, request: TokenRequest, code: AuthorizationCode, grant: Grant) -> list[AuditEvent]:
        """Notice a code for this machine's own app that somebody redeems elsewhere: pasted, not delivered (rule A14)."""
        if code.source == request.source or not is_loopback(code.redirect_uri):
            return []
        refused = self._settings.loopback_same_source == "enforce"
        event = self._audit.event(
            Event.CODE_SOURCE_CHANGED,
            subject=grant.identity.subject,
            client_id=code.client_id,
            resource=code.resource,
            grant_id=code.grant_id,
            approved_from=code.source,
            redeemed_from=request.source,
            refused=refused,
        )
        if not refused:
            return [event]
        await self._store.append_events([event])
        raise InvalidGrant(Reason.SOURCE_CHANGED)

    async def _decide(self, request: TokenRequest, code: AuthorizationCode, grant: Grant, target: Resource) -> Decision:
        """Ask the policy as it is now: it may have changed since the page was shown."""
        decision = self._policy.decide(
            AccessRequest(
                identity=grant.identity,
                client=request.client,
                resource=target,
                scopes=client_scopes(request.client, target, code.scopes),
                now=request.now,
            )
        )
        if not decision.allowed:
            event = self._audit.event(
                Event.TOKEN_REFUSED,
                subject=grant.identity.subject,
                client_id=code.client_id,
                resource=code.resource,
                grant_id=code.grant_id,
                rule=decision.rule,
                reason=decision.reason,
                groups_unknown=grant.identity.groups_unknown,
            )
            await self._store.append_events([event])
            raise InvalidGrant(Reason.POLICY, decision.rule)
        return decision

    def _lifetimes(self, decision: Decision, now: int, *, refreshes: bool) -> Lifetimes:
        """Return the grant's lifetimes; without refresh tokens it ends with its one access token."""
        life = lifetimes(decision, now=now, expires_at=now + self._settings.grant_ttl)
        if refreshes:
            return life
        end = now + life.access_token
        return Lifetimes(access_token=life.access_token, idle_expires_at=end, expires_at=end)

    def _issued(self, request: TokenRequest, grant: Grant, decision: Decision, jti: str) -> AuditEvent:
        return self._audit.event(
            Event.TOKEN_ISSUED,
            subject=grant.identity.subject,
            client_id=grant.client_id,
            resource=grant.resource,
            grant_id=grant.grant_id,
            jti=jti,
            scope=" ".join(decision.scopes),
            rule=decision.rule,
            source=request.source,
        )
