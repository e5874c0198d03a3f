"""A scripted GitHub: the web host and the API host with GitHub's own shapes, strict until a switch is set.

Errors come in HTTP 200, bodies are forms unless JSON is asked for, lists come in pages with `Link`, an eleventh token ends the oldest,
and a refresh ends both old tokens.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Host, Route, Router

from providers.base import ProviderSettings
from tests.providers import signing
from tests.providers.scripted_faults import ABSENT, Answer, changed

ACME, WIDGETS, SECRET_ORG = 9919, 42, 21955855
MAX_TOKENS = 10


@dataclass(frozen=True, slots=True)
class Call:
    """What an endpoint received: the parameters of its query, form or JSON body, and headers."""

    endpoint: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass
class Account:
    """A person: what `GET /user` says, addresses, organisations (login by number) and teams."""

    id: int
    login: str
    name: str | None = None
    email: str | None = None
    emails: list[dict[str, Any]] = field(default_factory=list)
    organizations: dict[int, str] = field(default_factory=dict)
    teams: list[tuple[int, str, int]] = field(default_factory=list)  # number, slug, organisation


@dataclass
class Token:
    """An access token that lives."""

    account: Account
    scope: str
    refresh_token: str | None


@dataclass
class Faults:
    """The switches. Endpoints are `authorize`, `token`, `user`, `emails`, `orgs`, `teams`, `app_token`."""

    answers: dict[str, Answer] = field(default_factory=dict)  # endpoint -> what it says instead
    delay: dict[str, float] = field(default_factory=dict)
    callback: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] = field(default_factory=dict)
    form_encoded: bool = False  # whatever `Accept` says
    hidden: set[int] = field(default_factory=set)  # organisations that single sign-on hides
    page_size: int = 100
    next_page: str | None = None  # where `Link` of the organisations leads instead
    error_status: int = 200  # of the token endpoint's errors


def accounts() -> dict[str, Account]:
    """Return the accounts that every scripted GitHub starts with."""
    octocat = Account(
        id=583231,
        login="octocat",
        name="The Octocat",
        emails=[
            {"email": "cat@users.noreply.github.com", "verified": True, "primary": False, "visibility": None},
            {"email": "octocat@example.com", "verified": True, "primary": True, "visibility": "public"},
        ],
        organizations={ACME: "acme", WIDGETS: "Widgets"},
        teams=[(7, "platform", ACME), (8, "on-call", WIDGETS)],
    )
    hubot = Account(
        id=480938, login="hubot", emails=[{"email": "hubot@example.com", "verified": True, "primary": True}]
    )
    return {"octocat": octocat, "hubot": hubot}


class ScriptedGitHub:
    """One host. `base_url` and `api_url` decide who answers where; change `accounts` and `faults` freely, read `requests`."""

    def __init__(
        self,
        base_url: str = "https://github.com",
        api_url: str = "https://api.github.com",
        *,
        expiring: bool = False,
        is_app: bool = False,
    ) -> None:
        self.base_url, self.api_url = base_url, api_url
        self.issuer = f"{base_url}/login/oauth"
        self.client_id, self.client_secret = "Iv1.8a61f9b3a7aba766", "secret-of-the-broker"
        self.expiring, self.is_app = expiring or is_app, is_app
        self.sends_iss = base_url == "https://github.com"
        self.accounts = accounts()
        self.sign_in_as = "octocat"
        self.faults = Faults()
        self.requests: list[Call] = []
        self.tokens: dict[str, Token] = {}
        self._logins: dict[str, tuple[Account, Mapping[str, str]]] = {}
        api = urlsplit(api_url)
        web_routes = [
            self._route("/login/oauth/authorize", "authorize", self._authorize),
            self._route("/login/oauth/access_token", "token", self._token, "POST"),
        ]
        api_routes = [
            self._route(f"{api.path}/user", "user", self._user),
            self._route(f"{api.path}/user/emails", "emails", self._emails),
            self._route(f"{api.path}/user/orgs", "orgs", self._orgs),
            self._route(f"{api.path}/user/teams", "teams", self._teams),
            self._route(f"{api.path}/applications/{{client_id}}/token", "app_token", self._app_token, "POST", "DELETE"),
        ]
        web_host, api_host = urlsplit(base_url).netloc, api.netloc
        routers = {web_host: Router(web_routes), api_host: Router(api_routes)}
        if web_host == api_host:
            routers = {web_host: Router([*web_routes, *api_routes])}
        self.app = Starlette(routes=[Host(host, app=router) for host, router in routers.items()])

    @property
    def transport(self) -> httpx2.ASGITransport:
        """A transport that reaches this host without a socket."""
        return httpx2.ASGITransport(app=self.app)

    def settings(self, **changes: Any) -> ProviderSettings:
        """Return settings that fit, with `changes`."""
        options = {} if self.base_url == "https://github.com" else {"base_url": self.base_url}
        fitting: dict[str, Any] = {
            "id": "github",
            "type": "github",
            "display_name": "GitHub",
            "issuer": self.issuer,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "options": {**options, **changes.pop("options", {})},
        }
        return ProviderSettings(**{**fitting, **changes})

    def calls(self, endpoint: str) -> list[Call]:
        """Return the requests that an endpoint received."""
        return [call for call in self.requests if call.endpoint == endpoint]

    async def follow(self, authorization_url: str) -> dict[str, str]:
        """Do what a browser does with an authorization URL; return the parameters that it carries back."""
        async with httpx2.AsyncClient(transport=self.transport) as browser:
            answer = await browser.get(authorization_url)
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True))

    def revoke_everything(self, login: str) -> None:
        """Do what a person does who revokes the app, or an administrator who suspends the person."""
        self.tokens = {text: token for text, token in self.tokens.items() if token.account.login != login}

    def _route(
        self, path: str, name: str, handler: Callable[[Mapping[str, Any], Request], Response], *methods: str
    ) -> Route:
        async def answer(request: Request) -> Response:
            body = (await request.body()).decode()
            is_json = request.headers.get("content-type") == "application/json"
            params = json.loads(body) if is_json else dict(parse_qsl(body or request.url.query, keep_blank_values=True))
            self.requests.append(Call(name, params, dict(request.headers)))
            await asyncio.sleep(self.faults.delay.get(name, 0))
            canned = self.faults.answers.get(name)
            if canned is not None:
                return Response(canned.body, canned.status, dict(canned.headers), canned.content_type)
            return handler(params, request)

        return Route(path, answer, methods=list(methods) or ["GET"])

    def _authorize(self, params: Mapping[str, Any], _request: Request) -> Response:
        wanted = {"client_id": self.client_id, "code_challenge_method": "S256"}
        wrong = [name for name, value in wanted.items() if params.get(name) != value]
        wrong += [name for name in ("redirect_uri", "state", "code_challenge") if not params.get(name)]
        if wrong:
            return PlainTextResponse(f"refused: {wrong}", 400)
        account = self.accounts.get(params.get("login", ""), self.accounts[self.sign_in_as])
        code = secrets.token_hex(10)
        self._logins[code] = (account, params)
        sent = {"code": code, "state": params["state"]} | ({"iss": self.issuer} if self.sends_iss else {})
        if "error" in self.faults.callback:
            sent["code"] = ABSENT
        return RedirectResponse(f"{params['redirect_uri']}?{urlencode(changed(sent, self.faults.callback))}", 302)

    def _token(self, params: Mapping[str, Any], request: Request) -> Response:
        as_json = request.headers.get("accept") == "application/json" and not self.faults.form_encoded
        if params.get("client_id") != self.client_id:
            return JSONResponse({"error": "Not Found"}, 404)
        if params.get("client_secret") != self.client_secret:
            return self._refusal("incorrect_client_credentials", as_json=as_json)
        if params.get("grant_type") == "refresh_token":
            return self._refreshed(params["refresh_token"], as_json=as_json)
        account, login = self._logins.pop(params.get("code", ""), (None, {}))
        challenge = signing.b64(hashlib.sha256(params.get("code_verifier", "").encode()).digest())
        if account is None or challenge != login["code_challenge"]:
            return self._refusal("bad_verification_code", as_json=as_json)
        assert params["redirect_uri"] == login["redirect_uri"]
        scope = "" if self.is_app else ",".join(sorted(login.get("scope", "").split()))
        return self._grant(account, scope, as_json=as_json)

    def _refreshed(self, refresh_token: str, *, as_json: bool) -> Response:
        old = next((t for t, token in self.tokens.items() if token.refresh_token == refresh_token), None)
        if old is None:
            return self._refusal("bad_refresh_token", as_json=as_json)
        spent = self.tokens.pop(old)
        return self._grant(spent.account, spent.scope, as_json=as_json)

    def _grant(self, account: Account, scope: str, *, as_json: bool) -> Response:
        prefix = "ghu_" if self.is_app else "gho_"
        access_token = prefix + secrets.token_hex(18)
        refresh_token = f"ghr_{secrets.token_hex(38)}" if self.expiring else None
        self.tokens[access_token] = Token(account, scope, refresh_token)
        mine = [text for text, token in self.tokens.items() if token.account is account]
        for oldest in mine[:-MAX_TOKENS]:
            del self.tokens[oldest]
        members: dict[str, Any] = {"access_token": access_token, "scope": scope, "token_type": "bearer"}
        if refresh_token:
            members |= {"expires_in": 28800, "refresh_token": refresh_token, "refresh_token_expires_in": 15897600}
        return _written(changed(members, self.faults.token), 200, as_json=as_json)

    def _refusal(self, code: str, *, as_json: bool) -> Response:
        members = {"error": code, "error_description": "upstream words", "error_uri": "https://docs.example/"}
        return _written(members, self.faults.error_status, as_json=as_json)

    def _user(self, _params: Mapping[str, Any], request: Request) -> Response:
        token = self._holder(request)
        if isinstance(token, Response):
            return token
        account = token.account
        values = {
            "login": account.login,
            "id": account.id,
            "name": account.name,
            "email": account.email,
            "type": "User",
        }
        return JSONResponse(values, headers=self._scopes(token))

    def _emails(self, _params: Mapping[str, Any], request: Request) -> Response:
        return self._list(request, lambda account: account.emails)

    def _orgs(self, _params: Mapping[str, Any], request: Request) -> Response:
        return self._list(
            request,
            lambda account: [{"login": login, "id": number} for number, login in self._visible(account).items()],
        )

    def _teams(self, _params: Mapping[str, Any], request: Request) -> Response:
        def teams(account: Account) -> list[dict[str, Any]]:
            seen = self._visible(account)
            return [
                {"id": number, "slug": slug, "name": slug.title(), "organization": {"id": owner, "login": seen[owner]}}
                for number, slug, owner in account.teams
                if owner in seen
            ]

        return self._list(request, teams)

    def _app_token(self, params: Mapping[str, Any], request: Request) -> Response:
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return JSONResponse({"message": "Bad credentials: upstream words"}, 401)
        known = params.get("access_token") in self.tokens
        if request.path_params["client_id"] != self.client_id or not known:
            return JSONResponse({"message": "Not Found: upstream words"}, 404)
        if request.method == "DELETE":
            del self.tokens[params["access_token"]]
            return Response(status_code=204)
        return JSONResponse({"app": {"client_id": self.client_id}})

    def _visible(self, account: Account) -> dict[int, str]:
        return {number: login for number, login in account.organizations.items() if number not in self.faults.hidden}

    def _holder(self, request: Request) -> Token | Response:
        """Return whose token this is; the API insists on a user agent."""
        if not request.headers.get("user-agent"):
            return PlainTextResponse("Request forbidden by administrative rules.", 403)
        token = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return token or JSONResponse({"message": "Bad credentials: upstream words"}, 401)

    def _scopes(self, token: Token) -> dict[str, str]:
        return {} if self.is_app else {"x-oauth-scopes": token.scope.replace(",", ", ")}

    def _list(self, request: Request, entries: Callable[[Account], list[dict[str, Any]]]) -> Response:
        token = self._holder(request)
        if isinstance(token, Response):
            return token
        rows, page = entries(token.account), int(request.query_params.get("page", "1"))
        size = min(int(request.query_params.get("per_page", "30")), self.faults.page_size)
        headers = self._scopes(token)
        links: dict[str, int] = {}
        if page > 1:
            links |= {"prev": page - 1, "first": 1}
        if page * size < len(rows):
            links |= {"next": page + 1}  # no `last`: it is missing from some lists
        if links:
            path = f"{self.api_url}{request.url.path.removeprefix(urlsplit(self.api_url).path)}"
            urls = {rel: f"{path}?per_page={size}&page={n}" for rel, n in links.items()}
            if self.faults.next_page and "next" in urls and path.endswith("/orgs"):
                urls["next"] = self.faults.next_page
            headers["link"] = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in urls.items())
        hidden = sorted(self.faults.hidden & set(token.account.organizations))
        if hidden and request.url.path.endswith(("/orgs", "/teams")):
            headers["x-github-sso"] = f"partial-results; organizations={','.join(map(str, hidden))}"
        return JSONResponse(rows[(page - 1) * size : page * size], headers=headers)


def _written(members: Mapping[str, Any], status: int, *, as_json: bool) -> Response:
    if as_json:
        return JSONResponse(dict(members), status)
    return Response(urlencode(members), status, media_type="application/x-www-form-urlencoded")
