"""Who this browser is signed in as, and whether that still counts (security rules A13, B16; OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

from broker.clock import Clock
from broker.model import AuthorizationRequest, Session, digest
from broker.settings import Settings
from broker.store.base import Store


class Sessions:
    """Reads broker sessions."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        """Keep each provider's re-check interval, in seconds."""
        self._store = store
        self._clock = clock
        self._recheck = {p.id: p.adapter.recheck_interval for p in settings.providers}

    async def current(self, cookie: str | None) -> Session | None:
        """Return the browser's live session, vouched for within the provider's re-check interval; None otherwise."""
        if cookie is None:
            return None
        now = self._clock.now()
        session = await self._store.find_session(digest(cookie), now=now)
        interval = self._recheck.get(session.identity.provider) if session else None
        if session is None or interval is None or now >= session.checked_at + interval:
            return None
        return session

    def usable_for(self, session: Session | None, request: AuthorizationRequest) -> Session | None:
        """Return the session if this request accepts it: `prompt` and `max_age` may ask for a new sign-in."""
        if session is None or {"login", "select_account"} & set(request.prompt):
            return None
        if request.max_age is not None and self._clock.now() - session.identity.auth_time > request.max_age:
            return None
        return session
