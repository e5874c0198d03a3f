"""A scripted OpenID provider with real keys: correct and strict until a switch of `faults` is set.

In process: `open_http(idp.settings(), transport=idp.transport)`. As the upstream of a flow: serve `idp.app`, or let a test browser
follow `/authorize`, which signs in `idp.sign_in_as` (or the person named by `login_hint`) and redirects back at once; with
`prompt=none` nobody is signed in. Put a name into `disabled`, and that person's tokens are worth nothing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from providers.base import ProviderSettings
from tests.providers import signing
from tests.providers.scripted_client import Assertions, is_client
from tests.providers.scripted_faults import ABSENT, Faults, changed

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account; `claims` are what the provider says of them."""

    sub: str
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that the provider received: the endpoint, its parameters (query or form) and headers."""

    endpoint: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Login:
    person: Person
    params: Mapping[str, str]


def people() -> dict[str, Person]:
    """Return the accounts that every scripted provider starts with."""
    return {
        "alice": Person("u-alice", _profile("Alice A", "alice", ["/eng", "/eng/platform"])),
        "bob": Person("u-bob", _profile("Bob B", "bob", [], verified=False)),
        "carol": Person("u-carol", _profile("Carol C", "carol", ["/sales"])),
    }


def _profile(name: str, login: str, groups: list[str], *, verified: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "preferred_username": login,
        "email": f"{login}@example.com",
        "email_verified": verified,
        "groups": groups,
    }


class ScriptedIdp:
    """One provider. `issuer` decides the paths; `now` returns epoch seconds. Read `requests`, change `people` and `faults` freely."""

    def __init__(
        self,
        issuer: str = "https://idp.example.test",
        *,
        client_id: str = "broker",
        client_secret: str | None = "s:cr%t +ü-of-the-broker",
        now: Callable[[], int] = lambda: int(time.time()),
        routes: Sequence[Route] = (),
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self.client_secret = client_secret
        self.now = now
        self.people = people()
        self.sign_in_as = "alice"
        self.faults = Faults()
        self.requests: list[Call] = []
        self.families = {"RSA", "P-256"}
        self.generation = 0
        self.published_keys()  # making a key takes longer than some time limits
        self.disabled: set[str] = set()  # names of people
        self.redirect_uris: set[str] | None = None  # the registered ones; None: any
        self.assertions = Assertions(audience=issuer)
        self._logins: dict[str, _Login] = {}  # by code
        self._sessions: dict[str, _Login] = {}  # by refresh token
        self._tokens: dict[str, Person] = {}  # by access token
        path = urlsplit(issuer).path.removesuffix("/")
        self.app = Starlette(
            routes=[
                Route(f"{path}/.well-known/openid-configuration", self._endpoint("discovery", self._discovery)),
                Route(f"{path}/jwks", self._endpoint("jwks", self._jwks)),
                Route(f"{path}/authorize", self._endpoint("authorize", self._authorize)),
                Route(f"{path}/token", self._endpoint("token", self._token), methods=["POST"]),
                Route(f"{path}/userinfo", self._endpoint("userinfo", self._userinfo)),
                Route(f"{path}/revoke", self._endpoint("revoke", self._revoke), methods=["POST"]),
                *routes,
            ]
        )

    @property
    def transport(self) -> httpx2.ASGITransport:
        """A transport that reaches this provider without a socket."""
        return httpx2.ASGITransport(app=self.app)

    def settings(self, kind: str = "oidc", **changes: Any) -> ProviderSettings:
        """Return settings that fit this provider, with `changes`."""
        fitting: dict[str, Any] = {
            "id": kind,
            "type": kind,
            "display_name": kind.title(),
            "issuer": self.issuer,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "loopback": self.issuer.startswith("http://"),
        }
        return ProviderSettings(**{**fitting, **changes})

    def rotate(self) -> None:
        """Sign with new keys from here on; the old ones are no longer published."""
        self.generation += 1

    def calls(self, endpoint: str) -> list[Call]:
        """Return the requests that an endpoint received."""
        return [call for call in self.requests if call.endpoint == endpoint]

    async def follow(self, authorization_url: str) -> dict[str, str]:
        """Do what a browser does with an authorization URL; return the parameters that it carries back."""
        async with httpx2.AsyncClient(transport=self.transport) as browser:
            answer = await browser.get(authorization_url)
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True))

    def published_keys(self) -> list[dict[str, Any]]:
        """Return the signing keys as the key set shows them."""
        families = sorted(self.families | {signing.family_of(self.faults.alg)})
        return [
            changed(
                {**signing.public_jwk(family, self.generation), "kid": self._kid(family), "use": "sig"}, self.faults.key
            )
            for family in families
        ]

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return claims signed as the faults say."""
        faults, family = self.faults, signing.family_of(self.faults.alg)
        header = changed({"alg": faults.alg, "typ": "JWT", "kid": self._kid(family)}, faults.header)
        key = signing.key_of(family, -1) if faults.foreign_key else self._key(family)
        token = signing.compact(header, json.dumps(claims).encode(), key)
        if not faults.bad_signature:
            return token
        head, _, signature = token.rpartition(".")
        return f"{head}.{signing.b64(bytes(len(base64.urlsafe_b64decode(signature + '=='))))}"

    def logout_token(self, claims: Mapping[str, Any] | None = None, header: Mapping[str, Any] | None = None) -> str:
        """Return a logout token about alice (Back-Channel Logout section 2.4), with these changes."""
        now = self.now()
        made = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
            "sub": "u-alice",
            "sid": "sid-u-alice",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }
        before = self.faults.header
        self.faults.header = {**before, "typ": "logout+jwt", **(header or {})}
        try:
            return self.sign(changed(made, claims or {}))
        finally:
            self.faults.header = before

    def id_token(self, person: Person, nonce: str | None, access_token: str) -> str:
        """Return the ID token of a login, or without a nonce that of a refresh."""
        now = self.now()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": person.sub,
            "aud": self.client_id,
            "azp": self.client_id,
            "iat": now,
            "exp": now + 300,
            "auth_time": now - 5,
            **({} if nonce is None else {"nonce": nonce}),
            "at_hash": signing.at_hash(access_token, self.faults.alg),
            "sid": f"sid-{person.sub}",
            "acr": "1",
            "amr": ["pwd", "otp"],
            **({} if self.faults.thin_id_token else person.claims),
        }
        if nonce is None:
            claims = changed(claims, self.faults.refreshed_claims)
        return self.sign(changed(claims, self.faults.claims))

    def _key(self, family: str) -> signing.SigningKey:
        return signing.key_of(family, self.generation)

    def _kid(self, family: str) -> str:
        return f"{family}-{self.generation}"

    def _endpoint(
        self, name: str, handler: Callable[[Mapping[str, str], Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            form = (await request.body()).decode()
            params = dict(parse_qsl(form or request.url.query, keep_blank_values=True))
            self.requests.append(Call(name, params, dict(request.headers)))
            await asyncio.sleep(self.faults.delay.get(name, 0))
            canned = self.faults.answers.get(name)
            if canned is not None:
                return Response(canned.body, canned.status, dict(canned.headers), canned.content_type)
            response = handler(params, request)
            response.headers.update({"date": formatdate(self.now(), usegmt=True), **self.faults.headers})
            return response

        return answer

    def _discovery(self, _params: Mapping[str, str], _request: Request) -> Response:
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": self._url("authorize"),
            "token_endpoint": self._url("token"),
            "jwks_uri": self._url("jwks"),
            "userinfo_endpoint": self._url("userinfo"),
            "revocation_endpoint": self._url("revoke"),
            "end_session_endpoint": self._url("logout"),
            "backchannel_logout_supported": True,
            "claims_supported": ["sub", "name", "email", "groups"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
            "id_token_signing_alg_values_supported": list(ALGORITHMS),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(changed(metadata, self.faults.discovery))

    def _jwks(self, _params: Mapping[str, str], _request: Request) -> Response:
        return JSONResponse({"keys": [*self.faults.extra_keys, *self.published_keys()]})

    def _authorize(self, params: Mapping[str, str], _request: Request) -> Response:
        wanted = {"response_type": "code", "client_id": self.client_id, "code_challenge_method": "S256"}
        if self.redirect_uris is not None and params.get("redirect_uri") not in self.redirect_uris:
            return PlainTextResponse("upstream words: unknown redirect_uri", 400)
        wrong = [name for name, value in wanted.items() if params.get(name) != value]
        wrong += [name for name in ("redirect_uri", "state", "nonce", "code_challenge") if not params.get(name)]
        if wrong or "openid" not in params.get("scope", "").split():
            return PlainTextResponse(f"refused: {wrong}", 400)
        if params.get("prompt") == "none":
            nobody = {"error": "login_required", "state": params["state"], "iss": self.issuer}
            query = urlencode(changed(nobody, self.faults.callback))
            return RedirectResponse(f"{params['redirect_uri']}?{query}", 302)
        person = self.people.get(params.get("login_hint", ""), self.people[self.sign_in_as])
        code = secrets.token_urlsafe(16)
        self._logins[code] = _Login(person, params)
        sent = {"code": code, "state": params["state"], "iss": self.issuer, "session_state": "of the provider"}
        if "error" in self.faults.callback:
            sent["code"] = ABSENT  # type: ignore[assignment]
        query = urlencode(changed(sent, self.faults.callback))
        return RedirectResponse(f"{params['redirect_uri']}?{query}", 302)

    def _token(self, params: Mapping[str, str], request: Request) -> Response:
        if not is_client(params, request.headers, (self.client_id, self.client_secret), self.assertions, self.now()):
            return JSONResponse({"error": "invalid_client", "error_description": "upstream words"}, 401)
        if params.get("grant_type") == "refresh_token":
            return self._refresh(params)
        login = self._logins.pop(params.get("code", ""), None)
        if login is None or not _redeems(login.params, params) or self._is_disabled(login.person):
            return JSONResponse({"error": "invalid_grant", "error_description": "upstream words"}, 400)
        if self.faults.rotate_before_token:
            self.rotate()
        return JSONResponse(changed(self._issue(login, login.params["nonce"]), self.faults.token))

    def _refresh(self, params: Mapping[str, str]) -> Response:
        canned = self.faults.answers.get("refresh")
        if canned is not None:
            return Response(canned.body, canned.status, dict(canned.headers), canned.content_type)
        session = self._sessions.get(params.get("refresh_token", ""))
        if session is None or self._is_disabled(session.person):
            return JSONResponse({"error": "invalid_grant", "error_description": "upstream words"}, 400)
        issued = self._issue(session, None)
        if self.faults.rotation:
            del self._sessions[params["refresh_token"]]
        else:
            del self._sessions[issued.pop("refresh_token")]
        return JSONResponse(changed(issued, self.faults.refresh))

    def _issue(self, login: _Login, nonce: str | None) -> dict[str, Any]:
        access_token, refresh_token = (f"{kind}-{secrets.token_urlsafe(16)}" for kind in ("at", "rt"))
        self._tokens[access_token] = login.person
        self._sessions[refresh_token] = login
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": refresh_token,
            "refresh_expires_in": 0,
            "scope": login.params["scope"],
            "id_token": self.id_token(self._now_is(login.person), nonce, access_token),
        }

    def _revoke(self, params: Mapping[str, str], request: Request) -> Response:
        if not is_client(params, request.headers, (self.client_id, self.client_secret), self.assertions, self.now()):
            return JSONResponse({"error": "invalid_client", "error_description": "upstream words"}, 401)
        self._sessions.pop(params.get("token", ""), None)
        self._tokens.pop(params.get("token", ""), None)
        return Response()

    def _now_is(self, person: Person) -> Person:
        """Return what the provider says of an account now, which may differ from what it said at the sign-in."""
        return next((p for p in self.people.values() if p.sub == person.sub), person)

    def _is_disabled(self, person: Person) -> bool:
        return any(self.people[name].sub == person.sub for name in self.disabled)

    def _userinfo(self, _params: Mapping[str, str], request: Request) -> Response:
        person = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if person is None or self._is_disabled(person):
            return JSONResponse({"error": "invalid_token"}, 401)
        person = self._now_is(person)
        claims = changed({"sub": person.sub, **person.claims}, self.faults.userinfo)
        if self.faults.signed_userinfo:
            signed = self.sign(changed({"iss": self.issuer, "aud": self.client_id, **claims}, self.faults.userinfo))
            return Response(signed, media_type="application/jwt")
        return JSONResponse(claims)

    def _url(self, endpoint: str) -> str:
        return f"{self.issuer.removesuffix('/')}/{endpoint}"


def _redeems(login: Mapping[str, str], params: Mapping[str, str]) -> bool:
    """Whether a token request has the login's redirect URI and the verifier of its challenge (RFC 7636 section 4.6)."""
    challenge = signing.b64(hashlib.sha256(params.get("code_verifier", "").encode()).digest())
    return (
        params.get("grant_type") == "authorization_code"
        and params.get("redirect_uri") == login["redirect_uri"]
        and challenge == login["code_challenge"]
    )
