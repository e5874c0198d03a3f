"""GET /authorize (RFC 6749 section 4.1.1): checks the request and shows the consent page. Writes nothing; idempotent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.clients import ClientResolver
from broker.login.browser import BrowserCookies
from broker.login.consent_page import ConsentPage
from broker.login.refusals import UNKNOWN_CLIENT, UNKNOWN_REDIRECT, Refusals, Target, Words
from broker.login.sessions import Sessions
from broker.login.step_up import note
from broker.model import AuthorizationRequest, Client, Resource, Session
from broker.oauth import InvalidClient, InvalidRequest, OAuthError, Reason
from broker.protocol import authorization_request, redirect_uri
from broker.protocol.consent import consent_key
from broker.settings import Settings
from broker.store.base import Store
from broker.web import Params, caller_address, parse_urlencoded


class Authorize:
    """The authorization endpoint."""

    def __init__(
        self,
        settings: Settings,
        *,
        clients: ClientResolver,
        store: Store,
        sessions: Sessions,
        cookies: BrowserCookies,
        page: ConsentPage,
        refusals: Refusals,
    ) -> None:
        """Keep the collaborators."""
        self._settings = settings
        self._clients = clients
        self._store = store
        self._sessions = sessions
        self._cookies = cookies
        self._page = page
        self._refusals = refusals

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route("/authorize", self.handle, methods=["GET"])]

    def metadata(self) -> dict[str, Any]:
        """RFC 8414 section 2, RFC 9207 section 3."""
        return {
            "authorization_endpoint": self._settings.url("/authorize"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "request_uri_parameter_supported": False,
        }

    async def handle(self, request: Request) -> Response:
        """Answer a request to authorize."""
        try:
            params = parse_urlencoded(request.scope["query_string"])
            client = await self._client(params, caller_address(request))
            target = _target(params, client, self._settings.redirect_schemes)
        except OAuthError as error:
            return self._refusals.page(request, error, target=None, words=_words(error), status=_status(error))
        browser = self._cookies.read(request)
        session = await self._sessions.current(browser.session)
        try:
            asked = authorization_request.parse(
                params, client, target.redirect_uri, self._resources, self._settings.default_resource
            )
        except OAuthError as error:
            subject = session.identity.subject if session else None
            return await self._refusals.answer(request, target, error, subject=subject)
        usable = self._sessions.usable_for(session, asked)
        step_up = self._sessions.step_up_for(usable, client, asked)
        if step_up is not None:
            return self._page.render(replace(asked, step_up=step_up), client, browser, usable, note=note(step_up))
        remembered = await self._remembered(usable, client, asked)
        return self._page.render(asked, client, browser, usable, remembered=remembered)

    @property
    def _resources(self) -> Sequence[Resource]:
        return self._settings.resources

    async def _client(self, params: Params, source: str) -> Client:
        return await self._clients.resolve(params.require("client_id"), source=source)

    async def _remembered(self, session: Session | None, client: Client, asked: AuthorizationRequest) -> bool:
        """Tell whether this person asked for a shorter page for exactly this (rules A4, A5); it is never skipped."""
        if session is None or not self._settings.remember_consent or "consent" in asked.prompt:
            return False
        consent = await self._store.find_consent(consent_key(session.identity.subject, client, asked))
        return consent is not None and consent.remembered


def _target(params: Params, client: Client, schemes: tuple[str, ...]) -> Target:
    """Return the trusted redirect target; raises InvalidRequest (RFC 6749 section 3.1.2.4; rules C1 to C3)."""
    uri = params.get("redirect_uri")
    if uri is None and len(client.redirect_uris) == 1:
        uri = client.redirect_uris[0]
    if uri is None:
        raise InvalidRequest(Reason.PARAMETER_MISSING, "redirect_uri")
    if not redirect_uri.matches(client.redirect_uris, uri):
        raise InvalidRequest(Reason.REDIRECT_URI_MISMATCH)
    try:
        redirect_uri.check(uri, schemes)
    except OAuthError:
        raise InvalidRequest(Reason.REDIRECT_URI_REFUSED) from None
    return Target(client=client, redirect_uri=uri, state=authorization_request.state(params))


def _words(error: OAuthError) -> Words | None:
    if isinstance(error, InvalidClient):
        return UNKNOWN_CLIENT
    if error.reason in (Reason.REDIRECT_URI_MISMATCH, Reason.REDIRECT_URI_REFUSED):
        return UNKNOWN_REDIRECT
    return None


def _status(error: OAuthError) -> int:
    """Clients re-register on 400 (FastMCP's pre-flight); 401 belongs to the token endpoint."""
    return 400 if isinstance(error, InvalidClient) else error.status
