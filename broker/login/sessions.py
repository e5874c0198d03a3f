"""Who this browser is signed in as, and whether that still counts (security rules A13, B16; OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

from broker.clock import Clock
from broker.model import AuthorizationRequest, Client, Session, StepUp, digest
from broker.policy import AccessRequest, Policy
from broker.settings import Settings
from broker.store.base import Store


class Sessions:
    """Reads broker sessions."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, policy: Policy) -> None:
        """Keep each provider's re-check interval, in seconds."""
        self._resources = {r.url: r for r in settings.resources}
        self._policy = policy
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

    def step_up_for(self, session: Session | None, client: Client, request: AuthorizationRequest) -> StepUp | None:
        """Return the sign-in that would permit this request more than the session does; None for none, or without a session."""
        resource = self._resources.get(request.resource)
        if session is None or resource is None:
            return None
        asked = AccessRequest(
            identity=session.identity,
            client=client,
            resource=resource,
            scopes=request.scopes,
            now=self._clock.now(),
        )
        return self._policy.decide(asked).step_up
