"""/logout: GET asks; POST ends this browser's session here and offers the way to end the one at the provider. Connected apps stay."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.audit import Audit, Event
from broker.clock import Clock
from broker.login.browser import BrowserCookies
from broker.model import Session, digest
from broker.oauth import InvalidRequest, Reason
from broker.pages import Pages
from broker.protocol.consent import same_origin
from broker.store.base import Store
from broker.upstream.configured import Upstream
from broker.upstream.giving_back import GivesBack

PATH = "/logout"


class Logout:
    """The logout endpoint, also where a provider sends the browser back to."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        gives_back: GivesBack,
        store: Store,
        cookies: BrowserCookies,
        pages: Pages,
        clock: Clock,
        audit: Audit,
    ) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._gives_back = gives_back
        settings = upstream.settings
        self._origin = settings.issuer.removesuffix(settings.issuer_path)
        self._url = settings.url(PATH)
        self._store = store
        self._cookies = cookies
        self._pages = pages
        self._clock = clock
        self._audit = audit

    def routes(self) -> list[Route]:
        """Return the page and its form."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.handle, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """Ask whoever is signed in; tell everybody else that they are not. Writes nothing."""
        session = await self._session(request)
        if session is None:
            return self._pages.render("signed_out.html", provider=None, provider_url=None)
        identity = session.identity
        who = identity.name or identity.email or identity.subject
        return self._pages.render("sign_out.html", action=self._url, name=who, provider=identity.provider)

    async def handle(self, request: Request) -> Response:
        """End the session; a POST from a page of somebody else is refused."""
        headers = request.headers
        if not same_origin(headers.get("sec-fetch-site"), headers.get("origin"), self._origin):
            return self._foreign(request, InvalidRequest(Reason.CSRF))
        session = await self._session(request)
        name, url = None, None
        if session is not None:
            identity = session.identity
            event = self._audit.event(Event.SESSION_ENDED, subject=identity.subject, reason="logout")
            if await self._store.end_session(session.session_hash, now=self._clock.now(), events=[event]):
                self._gives_back.begin(session.upstream)
            config = self._upstream.config(identity.provider)
            name = config.adapter.display_name if config else None
            url = await self._upstream.logout_url(identity.provider, return_to=self._url)
        response = self._pages.render("signed_out.html", provider=name, provider_url=url)
        for cookie in (self._cookies.session, self._cookies.login, self._cookies.csrf):
            self._cookies.clear(response, cookie)
        return response

    def _foreign(self, request: Request, error: InvalidRequest) -> Response:
        """Say that nothing was ended, and where a person who means it can do so (rule A6)."""
        self._audit.log("request.refused", path=PATH, error=error.code, reason=error.reason.value)
        return self._pages.error(
            request,
            error,
            title="You were not signed out",
            what="Another site tried to sign you out here. Nothing was changed.",
            who=f"If you want to sign out, open {self._url} yourself and press the button there.",
        )

    async def _session(self, request: Request) -> Session | None:
        cookie = self._cookies.read(request).session
        return await self._store.find_session(digest(cookie), now=self._clock.now()) if cookie else None
