"""Authorization codes: the one place that makes them (RFC 6749 section 4.1.2), together with the grant and the consent."""

from __future__ import annotations

from broker.audit import Audit, Event
from broker.clock import Clock, Entropy
from broker.keys import SigningKeys
from broker.model import AuthorizationCode, AuthorizationRequest, Client, Consent, Grant, Session, digest
from broker.oauth import InvalidRequest, Reason
from broker.policy import Decision
from broker.protocol import redirects
from broker.protocol.consent import consent_key
from broker.store.base import Store

CODE_LIFE = 60  # seconds (rule E5)


class CodeIssuer:
    """Issues a code for a person who approved and whom policy permits."""

    def __init__(
        self, issuer: str, *, store: Store, keys: SigningKeys, clock: Clock, entropy: Entropy, audit: Audit
    ) -> None:
        """Keep the issuer for `iss`, and the collaborators."""
        self._issuer = issuer
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._audit = audit

    async def issue(
        self,
        request: AuthorizationRequest,
        client: Client,
        decision: Decision,
        *,
        session: Session,
        request_id: str,
        source: str,
        remember: bool | None,
    ) -> str:
        """Store grant, code and consent in one transaction and return the redirect that carries the code.

        `remember` says whether the consent page is shortened the next time; None leaves that as it is.

        Raises InvalidRequest(REQUEST_USED) when a code of the same approval was redeemed already, or the session was logged out.
        """
        now = self._clock.now()
        code = self._entropy.token()
        identity = session.identity
        grant = self._grant(request, client, decision, session, now=now)
        event = self._audit.event(
            Event.CODE_ISSUED,
            subject=identity.subject,
            client_id=client.client_id,
            resource=request.resource,
            grant_id=grant.grant_id,
            provider=identity.provider,
            scope=" ".join(grant.scopes),
            rule=decision.rule,
            source=source,
            upstream_session=grant.upstream_session_id,
        )
        issued = AuthorizationCode(
            code_hash=digest(code),
            request_id=request_id,
            grant_id=grant.grant_id,
            client_id=client.client_id,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            resource=request.resource,
            scopes=grant.scopes,
            source=source,
            issued_at=now,
            expires_at=now + CODE_LIFE,
        )
        consent = _consent(request, client, identity.subject, now=now, remember=remember)
        saved = await self._store.save_code(issued, grant, consent, now=now, events=[event])
        if not saved:
            raise InvalidRequest(Reason.REQUEST_USED)
        return redirects.success(request.redirect_uri, code=code, state=request.state, issuer=self._issuer)

    def _grant(
        self, request: AuthorizationRequest, client: Client, decision: Decision, session: Session, *, now: int
    ) -> Grant:
        """Return a grant that dies with its code; redeeming the code gives it its real life."""
        return Grant(
            grant_id="g_" + self._entropy.token(16),
            client_id=client.client_id,
            client_snapshot=client,
            identity=session.identity,
            session_hash=session.session_hash,
            upstream_session_id=session.upstream.upstream_session_id,
            checked_at=session.upstream.checked_at,
            resource=request.resource,
            scopes=decision.scopes,
            handle=self._entropy.token(18),
            mac_key_id=self._keys.mac_key_id,
            created_at=now,
            idle_expires_at=now + CODE_LIFE,
            expires_at=now + CODE_LIFE,
            status_index=int.from_bytes(self._entropy.bytes(4), "big") >> 1,
        )


def _consent(
    request: AuthorizationRequest, client: Client, subject: str, *, now: int, remember: bool | None
) -> Consent:
    return Consent(
        key=consent_key(subject, client, request),
        subject=subject,
        client_id=client.client_id,
        redirect_uri=request.redirect_uri,
        resource=request.resource,
        scopes=request.scopes,
        created_at=now,
        remembered=remember is True,
        forget=remember is False,
    )
