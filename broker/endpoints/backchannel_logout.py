"""POST /backchannel-logout/{provider}: a session at the provider is over (OpenID Connect Back-Channel Logout 1.0; rules B15, B17).

The provider of the path verifies its own token; what it names ends in one transaction, together with the use of the token. A login on its
way, or whose code is not saved yet, loses.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.audit import Audit, Event
from broker.clock import Clock
from broker.model import LoggedOut
from broker.oauth import InvalidRequest, Reason, TemporarilyUnavailable
from broker.store.base import Store
from broker.store.upstream_base import LogoutToken
from broker.upstream.configured import Upstream, in_time
from broker.web import read_form
from providers.base import Fault, LogoutEvent, UpstreamError, VerifiesLogout

PATH = "/backchannel-logout/{provider}"
RETRY_AFTER = 30  # seconds


class BackchannelLogout:
    """The receiver of logout tokens."""

    def __init__(self, upstream: Upstream, *, store: Store, clock: Clock, audit: Audit) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._store = store
        self._clock = clock
        self._audit = audit

    def routes(self) -> list[Route]:
        """Return the one route; the provider is a path segment, as at the callback (rule B1)."""
        return [Route(PATH, self.handle, methods=["POST"])]

    async def handle(self, request: Request) -> Response:
        """End what the token names. Raises InvalidRequest (400), TemporarilyUnavailable, StoreUnavailable."""
        provider = request.path_params["provider"]
        adapter, config = self._upstream.logout_verifier(provider), self._upstream.config(provider)
        if adapter is None or config is None:
            raise HTTPException(404)
        token = (await read_form(request)).require("logout_token")
        said = await self._verified(adapter, provider, token)
        who = LoggedOut(issuer=said.issuer, subject=said.subject, sid=said.sid)
        event = self._audit.event(
            Event.UPSTREAM_LOGOUT,
            provider=provider,
            upstream_subject=said.subject,
            by="sid" if said.sid else "sub",
            ends="grants" if config.logout_ends_grants else "sessions",
        )
        used = LogoutToken(jti=said.jti, expires_at=said.expires_at)
        ended = await self._store.log_out(
            who, used, ends_grants=config.logout_ends_grants, now=self._clock.now(), events=[event]
        )
        if not ended:
            self._refused(provider, "logout_token_replayed")
            raise InvalidRequest(Reason.LOGOUT_TOKEN, "replayed")
        return Response(headers={"cache-control": "no-store"})

    async def _verified(self, adapter: VerifiesLogout, provider: str, token: str) -> LogoutEvent:
        try:
            async with in_time():
                return await adapter.verify_logout_token(token)
        except UpstreamError as error:
            if error.fault is Fault.TRANSIENT:  # its keys cannot be had just now; the provider may try again
                raise TemporarilyUnavailable(Reason.UPSTREAM_FAILED, retry_after=RETRY_AFTER) from None
            self._refused(provider, error.reason)
            raise InvalidRequest(Reason.LOGOUT_TOKEN, error.reason) from None

    def _refused(self, provider: str, reason: str) -> None:
        """Tell the log alone: strangers can send tokens, and must not fill the trail with them."""
        self._audit.log("upstream.logout_refused", "warning", provider=provider, reason=reason)
