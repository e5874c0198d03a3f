"""An authorization server in memory on the MCP SDK's own routes, as `python -m tests.load.sdk_server PORT UPSTREAM`.

It does what the SDK's examples do and no more: dictionaries, random unsigned tokens, nothing durable, the identity provider's ID token
taken unread. /callback and /introspect are the example's own additions to the SDK's routes; /approve stands for its login form.
"""
# ruff: noqa: ARG002 - the signatures are the SDK's

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass

import httpx2
import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl, AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.load.workload import CLIENT_ID, REDIRECT_URI, SCOPE

LIFE = 3600  # seconds


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to authorize that waits for its person."""

    client_id: str
    params: AuthorizationParams


class InMemory(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """The provider that the SDK's routes call."""

    def __init__(self, origin: str, upstream: str, http: httpx2.AsyncClient) -> None:
        """Know one client."""
        self._origin = origin
        self._upstream = upstream
        self._http = http
        self._waiting: dict[str, Asked] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        notebook = OAuthClientInformationFull(
            client_id=CLIENT_ID,
            client_name="Notebook",
            redirect_uris=[AnyUrl(REDIRECT_URI)],
            token_endpoint_auth_method="none",
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=SCOPE,
        )
        self._clients = {CLIENT_ID: notebook}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id is not None
        self._clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        assert client.client_id is not None
        state = params.state or secrets.token_hex(16)
        self._waiting[state] = Asked(client.client_id, params)
        return (
            f"{self._upstream}/authorize?client_id=broker&redirect_uri={self._origin}/callback"
            f"&response_type=code&scope=openid&state={state}"
        )

    def approve(self, state: str, person: str) -> str:
        """Return where the browser goes with a code for whoever waits under a state."""
        asked = self._waiting.pop(state)
        code = AuthorizationCode(
            code=f"mcp_{secrets.token_hex(16)}",
            client_id=asked.client_id,
            redirect_uri=asked.params.redirect_uri,
            redirect_uri_provided_explicitly=asked.params.redirect_uri_provided_explicitly,
            expires_at=time.time() + 300,
            scopes=asked.params.scopes or [SCOPE],
            code_challenge=asked.params.code_challenge,
            resource=asked.params.resource,
            subject=person,
        )
        self._codes[code.code] = code
        return construct_redirect_uri(str(asked.params.redirect_uri), code=code.code, state=asked.params.state)

    async def come_back(self, code: str, state: str) -> str:
        """Redeem the identity provider's code and go on."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": f"{self._origin}/callback"}
        answer = await self._http.post(f"{self._upstream}/token", data=form, auth=("broker", "secret"))
        answer.raise_for_status()
        assert answer.json()["access_token"]
        return self.approve(state, code.rpartition(".")[2])

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._tokens(authorization_code, authorization_code.scopes)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self._refresh_tokens.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self._refresh_tokens[refresh_token.token]
        return self._tokens(refresh_token, scopes)

    def _tokens(self, source: AuthorizationCode | RefreshToken, scopes: list[str]) -> OAuthToken:
        access, refresh = f"mcp_{secrets.token_hex(32)}", f"mcp_{secrets.token_hex(32)}"
        now = int(time.time())
        self._access_tokens[access] = AccessToken(
            token=access,
            client_id=source.client_id,
            scopes=scopes,
            expires_at=now + LIFE,
            resource=source.resource,
            subject=source.subject,
        )
        self._refresh_tokens[refresh] = RefreshToken(
            token=refresh,
            client_id=source.client_id,
            scopes=scopes,
            expires_at=now + 24 * LIFE,
            resource=source.resource,
            subject=source.subject,
        )
        return OAuthToken(access_token=access, expires_in=LIFE, scope=" ".join(scopes), refresh_token=refresh)

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = self._access_tokens.get(token)
        if found is not None and found.expires_at is not None and found.expires_at < time.time():
            del self._access_tokens[token]
            return None
        return found

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self._access_tokens.pop(token.token, None)
        self._refresh_tokens.pop(token.token, None)


def create_app(origin: str, upstream: str) -> Starlette:
    """Return the application."""
    provider = InMemory(origin, upstream, httpx2.AsyncClient(trust_env=False))

    async def callback(request: Request) -> Response:
        params = request.query_params
        return RedirectResponse(await provider.come_back(params["code"], params["state"]), 302)

    async def approve(request: Request) -> Response:
        return RedirectResponse(provider.approve(request.query_params["state"], "somebody"), 302)

    async def introspect(request: Request) -> Response:
        token = (await request.form()).get("token")
        found = await provider.load_access_token(token) if isinstance(token, str) else None
        if found is None:
            return JSONResponse({"active": False})
        return JSONResponse(
            {
                "active": True,
                "client_id": found.client_id,
                "scope": " ".join(found.scopes),
                "exp": found.expires_at,
                "iat": int(time.time()),
                "token_type": "Bearer",
                "aud": found.resource,
                "sub": found.subject,
            }
        )

    options = ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE], default_scopes=[SCOPE])
    routes = create_auth_routes(provider, AnyHttpUrl(origin), client_registration_options=options)
    routes += [
        Route("/callback", callback),
        Route("/approve", approve),
        Route("/introspect", introspect, methods=["POST"]),
    ]
    return Starlette(routes=routes)


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(
        create_app(f"http://127.0.0.1:{port}", sys.argv[2]),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
