"""The development identity provider: an OpenID Connect provider for this machine, with an account picker instead of passwords.

It refuses an issuer, a bind and a caller that are not loopback: whoever reaches it is whoever they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from broker import web
from broker.clock import Clock, Entropy, SystemClock, SystemEntropy
from broker.demo.idp_authorize import ACR_VALUES, SCOPES, Authorize
from broker.demo.idp_logout import Logout
from broker.demo.idp_memory import RelyingParty, State
from broker.demo.idp_token import Token
from broker.demo.idp_tokens import Mint
from broker.demo.people import EVERYBODY, People, Person
from broker.oauth import InvalidClient, OAuthError

CLAIMS = ("sub", "name", "preferred_username", "email", "email_verified", "groups", "auth_time", "acr", "amr", "sid")


class NotLoopback(ValueError):
    """Something that other machines could reach."""


def create_idp(
    issuer: str,
    *,
    clients: Sequence[RelyingParty],
    people: Iterable[Person] = EVERYBODY,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    http: httpx2.AsyncClient | None = None,
) -> Starlette:
    """Return the provider as an application.

    `issuer` is `http://` on loopback, without a trailing slash; `http` sends logout tokens. Raises NotLoopback for an issuer or a
    back-channel address that is not on this machine.
    """
    for url in (issuer, *(client.backchannel_logout_uri for client in clients)):
        if url is not None:
            require_loopback(url)
    if issuer.endswith("/"):
        raise ValueError("an issuer ends without a slash")
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    by_id = {client.client_id: client for client in clients}
    crowd, state, mint = People(people), State(clock), Mint(issuer, clock, entropy)
    authorize = Authorize(issuer=issuer, clients=by_id, people=crowd, state=state, clock=clock, entropy=entropy)
    token = Token(clients=by_id, people=crowd, state=state, mint=mint, entropy=entropy)
    logout = Logout(issuer=issuer, clients=by_id, people=crowd, state=state, mint=mint, http=http)

    async def discovery(_: Request) -> Response:
        return JSONResponse(metadata(issuer))

    async def jwks(_: Request) -> Response:
        return JSONResponse(mint.jwks())

    routes = [
        Route("/.well-known/openid-configuration", discovery),
        Route("/jwks", jwks),
        *authorize.routes(),
        *token.routes(),
        *logout.routes(),
    ]
    return Starlette(
        routes=[Mount(urlsplit(issuer).path, routes=routes)],
        middleware=[Middleware(LoopbackOnly, issuer=issuer)],
        exception_handlers={OAuthError: _refusal},
    )


def metadata(issuer: str) -> dict[str, object]:
    """Return the discovery document (OpenID Connect Discovery section 3)."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "end_session_endpoint": f"{issuer}/logout",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "claims_supported": list(CLAIMS),
        "acr_values_supported": list(ACR_VALUES),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }


def require_loopback(url: str) -> None:
    """Refuse a URL that is not plain http on this machine, by raising NotLoopback."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or "") or parts.query or parts.fragment:
        raise NotLoopback(f"{url!r} is not http on loopback: the development identity provider signs anybody in")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: `localhost` or a loopback address, no other name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackOnly:
    """Refuses callers and listeners that are not on this machine, and names that are not the issuer's (DNS rebinding)."""

    def __init__(self, app: ASGIApp, *, issuer: str) -> None:
        """Remember the issuer's host and port."""
        self._app = app
        self._host = urlsplit(issuer).netloc.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 to strangers."""
        if scope["type"] == "http":
            ends = [end[0] for end in (scope.get("client"), scope.get("server")) if end and end[0]]
            named = [value for name, value in scope["headers"] if name == b"host"]
            if named != [self._host] or not all(is_loopback(end) for end in ends):
                await PlainTextResponse("This server is for its own machine only.\n", 421)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, OAuthError):
        raise error
    return web.error_response(error, basic=isinstance(error, InvalidClient) and web.tried_basic(request))
