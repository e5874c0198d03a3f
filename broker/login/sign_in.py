"""From a verified upstream identity to a broker session: our subject, our record of the person, a new session id (rules B10, G9)."""

from __future__ import annotations

from collections.abc import Mapping

from broker.audit import Audit, Event
from broker.clock import Clock, Entropy
from broker.model import Identity, Session, digest
from broker.settings import ProviderConfig, Settings
from broker.store.base import Store
from providers.base import UpstreamIdentity


class SignIn:
    """Makes sessions."""

    def __init__(self, settings: Settings, *, store: Store, clock: Clock, entropy: Entropy, audit: Audit) -> None:
        """Keep the collaborators."""
        self._configs: Mapping[str, ProviderConfig] = {p.id: p for p in settings.providers}
        self._life = settings.session_ttl
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._audit = audit

    async def recognise(self, provider: str, upstream: UpstreamIdentity) -> Identity:
        """Return the person as our records keep them; the subject is found by (issuer, upstream subject), never by e-mail."""
        config = self._configs[provider]
        subject = await self._store.subject_for(
            upstream.issuer,
            upstream.subject,
            namespace=config.identity_namespace,
            candidate="u_" + self._entropy.token(16),
            now=self._clock.now(),
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

    async def start(self, identity: Identity, *, replaces: str | None) -> tuple[Session, str]:
        """Store a new session and return it with its cookie; the session of the cookie `replaces` ends with it."""
        now = self._clock.now()
        cookie = self._entropy.token()
        session = Session(
            session_hash=digest(cookie),
            identity=identity,
            created_at=now,
            checked_at=now,
            expires_at=now + self._life,
        )
        event = self._audit.event(Event.SESSION_STARTED, subject=identity.subject, provider=identity.provider)
        await self._store.save_session(
            session, replaces=digest(replaces) if replaces else None, now=now, events=[event]
        )
        return session, cookie
