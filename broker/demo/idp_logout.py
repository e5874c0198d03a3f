"""How a login at the development identity provider ends: RP-initiated logout, the switches' page, and back-channel logout to clients.

OpenID Connect RP-Initiated Logout section 2, Back-Channel Logout section 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import anyio
import httpx2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from broker import web
from broker.demo import idp_pages
from broker.demo.idp_authorize import COOKIE, foreign
from broker.demo.idp_memory import Login, RelyingParty, State
from broker.demo.idp_tokens import Mint
from broker.demo.people import People

TIMEOUT = 5  # seconds for one client


class Logout:
    """Routes: GET and POST /logout, GET /people, POST /people/{id}, POST /people/{id}/sign-out."""

    def __init__(
        self,
        *,
        issuer: str,
        clients: Mapping[str, RelyingParty],
        people: People,
        state: State,
        mint: Mint,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        """`http` sends the logout tokens; without one, a client is made for each logout."""
        self._issuer = issuer
        self._clients = clients
        self._people = people
        self._state = state
        self._mint = mint
        self._http = http

    def routes(self) -> list[Route]:
        """Return the routes, without the issuer's path."""
        return [
            Route("/logout", self.logout, methods=["GET", "POST"]),
            Route("/people", self.show, methods=["GET"]),
            Route("/people/{person}", self.switch, methods=["POST"]),
            Route("/people/{person}/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def logout(self, request: Request) -> Response:
        """End the login that the hint names; without a hint, ask the person whose browser this is."""
        if request.method == "POST":
            params = await web.read_form(request)
        else:
            params = web.parse_urlencoded(request.scope["query_string"])
        hint = self._mint.read_hint(params.get("id_token_hint") or "") or {}
        cookie = web.cookies(request).get(COOKIE)
        confirmed = request.method == "POST" and request.headers.get("sec-fetch-site") not in (
            "cross-site",
            "same-site",
        )
        if not hint and not confirmed:
            ask = Markup('<form method="post" action="{}/logout"><button>Sign out</button></form>').format(self._issuer)
            return idp_pages.page("Sign out?", ask)
        login = self._state.logins.get(cookie)
        sid = hint.get("sid") or (login.sid if login else None)
        await self._end([entry for entry in self._state.logins.alive().items() if entry[1].sid == sid])
        client = self._clients.get(str(hint.get("aud")))
        target = params.get("post_logout_redirect_uri")
        if client is not None and target in client.post_logout_redirect_uris:
            state = params.get("state")
            return RedirectResponse(f"{target}?{urlencode({'state': state})}" if state else target, 303)
        return idp_pages.page("Signed out", Markup("<p>You may close this window.</p>"))

    async def show(self, request: Request) -> Response:
        """Show everybody's switches."""
        del request
        return idp_pages.switches(self._issuer, self._people, self._state.logins.alive())

    async def switch(self, request: Request) -> Response:
        """Set the switches of one person."""
        if foreign(request):
            return idp_pages.fault("This form was sent from another site.", status=403)
        form = await web.read_form(request)
        groups = tuple((form.get("groups") or "").replace(",", " ").split())
        changed = self._people.change(
            request.path_params["person"],
            groups=groups if form.get("groups_claim") == "yes" else None,
            email_verified=form.get("email_verified") == "yes",
            disabled=form.get("disabled") == "yes",
        )
        if changed is None:
            return idp_pages.fault("Nobody has this name.", status=404)
        return RedirectResponse(f"{self._issuer}/people", 303)

    async def sign_out(self, request: Request) -> Response:
        """End every login of one person, and tell the clients."""
        if foreign(request):
            return idp_pages.fault("This form was sent from another site.", status=403)
        person = request.path_params["person"]
        await self._end([entry for entry in self._state.logins.alive().items() if entry[1].person_id == person])
        return RedirectResponse(f"{self._issuer}/people", 303)

    async def _end(self, logins: list[tuple[str, Login]]) -> None:
        for cookie, _ in logins:
            self._state.logins.take(cookie)
        tokens = [
            (client.backchannel_logout_uri, self._mint.logout_token(person, login, client.client_id))
            for _, login in logins
            for client in (self._clients[client_id] for client_id in sorted(login.clients))
            if client.backchannel_logout_uri and (person := self._people.find(login.person_id))
        ]
        async with anyio.create_task_group() as group:
            for uri, token in tokens:
                group.start_soon(self._send, uri, token)

    async def _send(self, uri: str, logout_token: str) -> None:
        """Tell one client; one that cannot be reached has its own re-checks (Back-Channel Logout section 2.5)."""
        try:
            if self._http is not None:
                await self._http.post(uri, data={"logout_token": logout_token}, timeout=TIMEOUT)
            else:
                async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
                    await http.post(uri, data={"logout_token": logout_token})
        except httpx2.HTTPError:
            return
