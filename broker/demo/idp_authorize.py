"""The authorization endpoint of the development identity provider (OpenID Connect Core section 3.1.2, RFC 7636, RFC 9207).

Code flow only, PKCE S256 always. The account picker is the whole sign-in; `prompt`, `max_age`, `login_hint` and `acr_values` act.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from broker import web
from broker.clock import Clock, Entropy
from broker.demo import idp_pages
from broker.demo.idp_memory import AuthenticationRequest, Chain, Login, RelyingParty, State
from broker.demo.people import People, Person

COOKIE = "demo-idp-session"
TRANSACTION_TTL, CODE_TTL, LOGIN_TTL = 600, 60, 8 * 3600  # seconds
SCOPES = ("openid", "profile", "email", "groups", "offline_access")
ACR_VALUES = ("1", "2")
SECOND_FACTOR = ("2", ("pwd", "otp", "mfa"))

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 section 4.2, SHA-256


class Refused(Exception):
    """A fault that goes back to the client (RFC 6749 section 4.1.2.1)."""

    def __init__(self, error: str) -> None:
        """Keep the code."""
        super().__init__(error)
        self.error = error


class Authorize:
    """Routes: GET and POST /authorize, POST /pick."""

    def __init__(
        self,
        *,
        issuer: str,
        clients: Mapping[str, RelyingParty],
        people: People,
        state: State,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Keep the collaborators."""
        self._issuer = issuer
        self._clients = clients
        self._people = people
        self._state = state
        self._clock = clock
        self._entropy = entropy

    def routes(self) -> list[Route]:
        """Return the routes, without the issuer's path."""
        return [
            Route("/authorize", self.authorize, methods=["GET", "POST"]),
            Route("/pick", self.pick, methods=["POST"]),
        ]

    async def authorize(self, request: Request) -> Response:
        """Check the request and show the account picker."""
        if request.method == "POST":
            params = await web.read_form(request)
        else:
            params = web.parse_urlencoded(request.scope["query_string"])
        client = self._clients.get(params.get("client_id") or "")
        redirect_uri = params.get("redirect_uri")
        if client is None or redirect_uri not in client.redirect_uris:
            return idp_pages.fault("The client or its redirect URI is not registered here.")
        try:
            asked = self._check(params, client, redirect_uri)
        except Refused as refusal:
            return self._back(redirect_uri, params.get("state"), {"error": refusal.error})
        login = self._login(request)
        if "none" in asked.prompt:
            if login is None or not self._fresh(login, asked):
                return self._back(redirect_uri, asked.state, {"error": "login_required"})
            return self._finish(asked, login)
        transaction = self._entropy.token(16)
        self._state.transactions.put(transaction, asked, ttl=TRANSACTION_TTL)
        return idp_pages.picker(
            f"{self._issuer}/pick",
            transaction,
            self._people,
            client_id=client.client_id,
            current=login.person_id if login else None,
            hint=asked.login_hint,
        )

    async def pick(self, request: Request) -> Response:
        """Take the person who was picked, and go back to the client with a code."""
        if foreign(request):
            return idp_pages.fault("This form was sent from another site.", status=403)
        form = await web.read_form(request)
        asked = self._state.transactions.take(form.get("transaction"))
        if asked is None:
            return idp_pages.fault("This page is too old, or was used already. Start again at the application.")
        person = self._people.find(form.get("person") or "")
        if person is None or person.disabled:
            return self._back(asked.redirect_uri, asked.state, {"error": "access_denied"})
        login = self._login(request)
        if login is not None and login.person_id == person.id and self._fresh(login, asked):
            return self._finish(asked, login)
        cookie, login = self._sign_in(person, asked)
        answer = self._finish(asked, login)
        answer.set_cookie(COOKIE, cookie, path="/", httponly=True, samesite="lax")
        return answer

    def _check(self, params: web.Params, client: RelyingParty, redirect_uri: str) -> AuthenticationRequest:
        if params.get("request") or params.get("request_uri"):
            raise Refused("request_not_supported")
        if params.get("response_type") != "code":
            raise Refused("unsupported_response_type")
        scope = tuple(word for word in (params.get("scope") or "").split(" ") if word in SCOPES)
        if "openid" not in scope:
            raise Refused("invalid_scope")
        challenge = params.get("code_challenge") or ""
        if not _CHALLENGE.fullmatch(challenge) or params.get("code_challenge_method") != "S256":
            raise Refused("invalid_request")
        prompt = frozenset((params.get("prompt") or "").split())
        max_age = params.get("max_age")
        if (
            params.get("response_mode") not in (None, "query")
            or ("none" in prompt and len(prompt) > 1)
            or (max_age is not None and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10))  # noqa: PLR2004
        ):
            raise Refused("invalid_request")
        return AuthenticationRequest(
            client=client,
            redirect_uri=redirect_uri,
            scope=scope,
            code_challenge=challenge,
            state=params.get("state"),
            nonce=params.get("nonce"),
            prompt=prompt,
            max_age=None if max_age is None else int(max_age),
            login_hint=params.get("login_hint"),
            acr_values=tuple((params.get("acr_values") or "").split()),
        )

    def _login(self, request: Request) -> Login | None:
        login = self._state.logins.get(web.cookies(request).get(COOKIE))
        person = self._people.find(login.person_id) if login else None
        return login if person is not None and not person.disabled else None

    def _fresh(self, login: Login, asked: AuthenticationRequest) -> bool:
        """Whether a login answers this request without a new one (`prompt`, `max_age`, `acr_values`)."""
        age = self._clock.now() - login.auth_time
        return (
            not asked.prompt & {"login", "select_account"}
            and (asked.max_age is None or age <= asked.max_age)
            and (SECOND_FACTOR[0] not in asked.acr_values or login.acr == SECOND_FACTOR[0])
        )

    def _sign_in(self, person: Person, asked: AuthenticationRequest) -> tuple[str, Login]:
        acr, amr = SECOND_FACTOR if SECOND_FACTOR[0] in asked.acr_values else (person.acr, person.amr)
        now = self._clock.now()
        login = Login(sid=self._entropy.token(16), person_id=person.id, auth_time=now, acr=acr, amr=amr)
        cookie = self._entropy.token(32)
        self._state.logins.put(cookie, login, ttl=LOGIN_TTL)
        return cookie, login

    def _finish(self, asked: AuthenticationRequest, login: Login) -> Response:
        code = self._entropy.token(32)
        login.clients.add(asked.client.client_id)
        self._state.codes.put(code, Chain(request=asked, login=login), ttl=CODE_TTL)
        return self._back(asked.redirect_uri, asked.state, {"code": code})

    def _back(self, redirect_uri: str, state: str | None, answer: dict[str, str]) -> Response:
        """Go back to the client: the one place that adds `state` and `iss`."""
        query = urlencode({**answer, **({"state": state} if state else {}), "iss": self._issuer})
        joint = "&" if "?" in redirect_uri else "?"
        return RedirectResponse(f"{redirect_uri}{joint}{query}", 303, {"Cache-Control": "no-store"})


def foreign(request: Request) -> bool:
    """Whether a browser says that a form came from another origin; other ports of this machine are other origins."""
    return request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
