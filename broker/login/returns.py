"""The way back from an identity provider, the same whatever the login was for (security rules A2, B1 to B3).

The pending login is consumed before anything else is looked at: a link opened in another browser burns it and asks nobody anything.
"""

from __future__ import annotations

import hmac

from starlette.requests import Request

from broker.audit import Audit, Event
from broker.clock import Clock
from broker.login.approvals import Approvals, login_name
from broker.login.browser import BrowserCookies
from broker.model import PendingLogin, digest
from broker.oauth import InvalidRequest, Reason
from broker.seal import SealBroken
from broker.store.base import Store
from broker.upstream.configured import Upstream, in_time
from broker.web import Params
from providers.base import Callback, Fault, UpstreamError, UpstreamIdentity


class Returns:
    """Takes pending logins back and lets their providers identify who signed in."""

    def __init__(
        self,
        upstream: Upstream,
        approvals: Approvals,
        *,
        store: Store,
        cookies: BrowserCookies,
        audit: Audit,
        clock: Clock,
    ) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._approvals = approvals
        self._store = store
        self._cookies = cookies
        self._audit = audit
        self._clock = clock

    async def consume(self, request: Request, params: Params) -> PendingLogin:
        """Return the pending login of this state, this browser and this provider; whatever else happens, it is used up.

        Raises InvalidRequest, StoreUnavailable.
        """
        if request.method != "GET":  # HEAD has no effect (rule C15)
            raise InvalidRequest(Reason.LOGIN_UNKNOWN)
        state_hash = digest(params.require("state"))
        returned = self._audit.event(Event.LOGIN_RETURNED, login=login_name(state_hash))
        login = await self._store.finish_login(state_hash, now=self._clock.now(), events=[returned])
        if login is None:
            raise InvalidRequest(Reason.LOGIN_UNKNOWN)
        cookie = self._cookies.read(request).login
        if cookie is None or not hmac.compare_digest(digest(cookie), login.cookie_hash):
            await self.record(login, Event.LOGIN_FAILED, reason=Reason.LOGIN_COOKIE)
            raise InvalidRequest(Reason.LOGIN_COOKIE)
        if login.provider != request.path_params["provider"] or login.provider not in self._upstream.providers:
            await self.record(login, Event.LOGIN_FAILED, reason=Reason.PROVIDER_UNKNOWN)
            raise InvalidRequest(Reason.PROVIDER_UNKNOWN)
        return login

    async def identify(self, params: Params, login: PendingLogin) -> UpstreamIdentity:
        """Let the stored provider redeem the code and verify its answers (rules B1, B2); raises UpstreamError, recorded."""
        try:
            return await self._identify(params, login)
        except UpstreamError as error:
            await self.record(login, Event.LOGIN_FAILED, reason=error.reason, fault=error.fault.value)
            raise

    async def record(
        self, login: PendingLogin, name: Event, *, subject: str | None = None, reason: str, fault: str | None = None
    ) -> None:
        """Store what became of a login."""
        event = self._audit.event(
            name,
            subject=subject,
            client_id=login.client.client_id,
            resource=login.request.resource or None,
            provider=login.provider,
            login=login_name(login.state_hash),
            reason=str(reason),
            fault=fault,
        )
        await self._store.append_events([event])

    async def _identify(self, params: Params, login: PendingLogin) -> UpstreamIdentity:
        try:
            verifier = self._approvals.open_verifier(login)
        except SealBroken:  # the master key changed without the old one in the list
            raise UpstreamError(Fault.PROTOCOL, "verifier_seal_broken") from None
        expected = self._approvals.upstream_request(
            login.request, login.provider, state=params.require("state"), nonce=login.nonce, verifier=verifier
        )
        adapter = self._upstream.providers[login.provider]
        async with in_time():
            return await adapter.identify(Callback(params=params.as_mapping()), expected)
