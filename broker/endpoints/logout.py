"""POST /logout: ends this browser's session with the broker; connected apps keep their grants."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.audit import Audit, Event
from broker.clock import Clock
from broker.login.browser import BrowserCookies
from broker.model import digest
from broker.oauth import InvalidRequest, Reason
from broker.pages import Pages
from broker.protocol.consent import same_origin
from broker.store.base import Store


class Logout:
    """The logout endpoint."""

    def __init__(
        self, origin: str, *, store: Store, cookies: BrowserCookies, pages: Pages, clock: Clock, audit: Audit
    ) -> None:
        """Keep our own origin and the collaborators."""
        self._origin = origin
        self._store = store
        self._cookies = cookies
        self._pages = pages
        self._clock = clock
        self._audit = audit

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route("/logout", self.handle, methods=["POST"])]

    async def handle(self, request: Request) -> Response:
        """End the session; a POST from a page of somebody else is refused."""
        headers = request.headers
        if not same_origin(headers.get("sec-fetch-site"), headers.get("origin"), self._origin):
            raise InvalidRequest(Reason.CSRF)
        cookie = self._cookies.read(request).session
        if cookie is not None:
            event = self._audit.event(Event.SESSION_ENDED, reason="logout")
            await self._store.end_session(digest(cookie), now=self._clock.now(), events=[event])
        response = self._pages.render("signed_out.html")
        for name in (self._cookies.session, self._cookies.login, self._cookies.csrf):
            self._cookies.clear(response, name)
        return response
