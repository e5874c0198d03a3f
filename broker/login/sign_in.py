"""From a verified upstream identity to a broker session: our subject, our record of the person, a new session id (rules B10, G9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from broker.audit import Audit, Event
from broker.clock import Clock, Entropy
from broker.login.code_issuer import CODE_LIFE
from broker.model import Identity, Session, UpstreamSession, digest
from broker.oauth import InvalidRequest, Reason
from broker.settings import ProviderConfig
from broker.store.base import Store
from broker.upstream.configured import Upstream
from broker.upstream.vault import TokenVault
from providers.base import UpstreamIdentity, UpstreamTokens


class SignIn:
    """Makes sessions."""

    def __init__(
        self, upstream: Upstream, *, store: Store, vault: TokenVault, clock: Clock, entropy: Entropy, audit: Audit
    ) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._configs: Mapping[str, ProviderConfig] = {p.id: p for p in upstream.settings.providers}
        self._life = upstream.settings.session_ttl
        self._vault = vault
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._audit = audit

    async def recognise(self, provider: str, upstream: UpstreamIdentity) -> Identity:
        """Return the person as our records keep them; the subject is found by (issuer, upstream subject), never by e-mail."""
        config = self._configs[provider]
        candidate = "u_" + self._entropy.token(16)
        subject = await self._store.subject_for(
            upstream.issuer,
            upstream.subject,
            namespace=config.identity_namespace,
            candidate=candidate,
            now=self._clock.now(),
            events=[self._audit.event(Event.USER_CREATED, subject=candidate, provider=provider)],
        )
        return Identity(
            subject=subject,
            provider=provider,
            upstream_issuer=upstream.issuer,
            upstream_subject=upstream.subject,
            auth_time=upstream.auth_time,
            auth_time_stated=upstream.auth_time_stated,
            acr=config.acr_map.get(upstream.acr, upstream.acr) if upstream.acr else None,
            amr=upstream.amr,
            email=upstream.email,
            email_verified=upstream.email_verified,
            name=upstream.name,
            groups=upstream.groups.names,
            groups_unknown=upstream.groups.reason,
            attributes=upstream.attributes,
            upstream_sid=upstream.sid,
        )

    async def start(
        self, identity: Identity, tokens: UpstreamTokens | None, *, began_at: int, replaces: str | None
    ) -> tuple[Session, str]:
        """Store a new session and return it with its cookie; the session of the cookie `replaces` ends with it.

        `began_at` is when the login was approved. Raises InvalidRequest(LOGOUT_WON) when the provider ended it since (rule B17).
        """
        now = self._clock.now()
        cookie = self._entropy.token()
        session = Session(
            session_hash=digest(cookie),
            upstream=self._tie(identity, tokens, began_at=began_at, now=now),
            created_at=now,
            expires_at=now + self._life,
        )
        event = self._audit.event(
            Event.SESSION_STARTED,
            subject=identity.subject,
            provider=identity.provider,
            upstream_session=session.upstream.upstream_session_id,
            groups_unknown=identity.groups_unknown,
        )
        saved = await self._store.save_session(
            session, replaces=digest(replaces) if replaces else None, now=now, events=[event]
        )
        if saved is None:
            raise InvalidRequest(Reason.LOGOUT_WON)
        return replace(session, upstream=replace(session.upstream, upstream_session_id=saved)), cookie

    def _tie(self, identity: Identity, tokens: UpstreamTokens | None, *, began_at: int, now: int) -> UpstreamSession:
        """Return what the provider can be asked with again; of no use to one that cannot be asked, and then not kept."""
        refresher = self._upstream.refresher(identity.provider)
        return UpstreamSession(
            upstream_session_id="us_" + self._entropy.token(16),
            identity=identity,
            sealed_tokens=self._vault.seal(identity, tokens) if refresher and tokens else None,
            began_at=began_at,
            checked_at=now,
            known_at=now,
            expires_at=now + self._life + CODE_LIFE,
            shared=refresher is not None and refresher.shares_tokens,
        )
