"""Who this browser is signed in as, and whether that still counts (security rules A13, B16; OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

from dataclasses import replace

from broker.clock import Clock
from broker.model import AuthorizationRequest, Client, Session, StepUp, digest
from broker.oauth import InvalidGrant
from broker.policy import AccessRequest, Policy
from broker.settings import Settings
from broker.store.base import Store
from broker.upstream.recheck import Recheck, Tie


class Sessions:
    """Reads broker sessions."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, policy: Policy, recheck: Recheck) -> None:
        """Keep the collaborators."""
        self._resources = {r.url: r for r in settings.resources}
        self._providers = {p.id for p in settings.providers}
        self._policy = policy
        self._store = store
        self._clock = clock
        self._recheck = recheck

    async def current(self, cookie: str | None) -> Session | None:
        """Return the browser's live session, for a page to show; None as well where only a new sign-in can vouch for it.

        Whether the provider still vouches is asked before anything is issued (`vouched`): looking at a page asks and writes nothing.
        """
        if cookie is None:
            return None
        session = await self._store.find_session(digest(cookie), now=self._clock.now())
        if session is None or session.identity.provider not in self._providers:
            return None
        tie = Tie.of(session.upstream)
        return None if self._recheck.is_due(tie) and not self._recheck.is_possible(tie) else session

    async def vouched(self, session: Session) -> Session | None:
        """Return the session with the person as the provider vouches for them now; None when it has ended there.

        Raises TemporarilyUnavailable when the provider cannot be asked, StoreUnavailable.
        """
        try:
            vouched = await self._recheck.vouched(Tie.of(session.upstream), stale_allowed=False)
        except InvalidGrant:
            return None
        upstream = replace(session.upstream, identity=vouched.identity, checked_at=vouched.checked_at)
        return replace(session, upstream=upstream)

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
