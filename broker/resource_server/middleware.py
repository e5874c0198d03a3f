"""`ProtectedResourceMiddleware`: an OAuth 2.0 protected resource (RFC 6750, RFC 9728) around any ASGI application, in pure ASGI.

Every path is protected except the metadata and the paths named in `public`. With `tool_scopes`, every request body is read as JSON-RPC
before the application sees it, and one that cannot be read is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.authentication import AuthCredentials

from broker.protocol.bearer import BearerRefused
from broker.resource_server import calls
from broker.resource_server.challenge import Challenge, without_offline
from broker.resource_server.keys import FIRST_COOL_DOWN, KeysUnavailable
from broker.resource_server.verifier import BrokerTokenVerifier

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_BODY = 4 * 1024 * 1024  # bytes, as the MCP SDK's transport
POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class ProtectedResourceMiddleware:
    """Lets only good access tokens of `issuer` for `resource` through to `app`.

    Parameters: `scopes` is what every request needs; `tool_scopes` what a call of that tool needs besides; `public` are exact paths
    that need no token (a health probe); `verifier` replaces the one made from issuer and resource.
    The application finds the person in `scope["user"]` (the MCP SDK's AuthenticatedUser, so `get_access_token()` works in tools),
    the scopes in `scope["auth"]` and the claims in `scope["state"]["claims"]`. Raises ValueError on a setting that is wrong.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        issuer: str,
        resource: str,
        scopes: Sequence[str] = (),
        tool_scopes: Mapping[str, Sequence[str]] | None = None,
        public: Collection[str] = (),
        verifier: BrokerTokenVerifier | None = None,
    ) -> None:
        """Prepare every answer; nothing is fetched before the first token."""
        self._app = app
        self._tool_scopes = {tool: without_offline(needed) for tool, needed in (tool_scopes or {}).items()}
        every = [word for needed in self._tool_scopes.values() for word in needed]
        self._challenge = Challenge(issuer=issuer, resource=resource, scopes=scopes, all_scopes=every)
        self._public = frozenset(public)
        self._verifier = verifier or BrokerTokenVerifier(issuer, resource)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on to the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in self._challenge.metadata_paths:
            await self._challenge.metadata(scope["method"])(scope, receive, send)
        elif scope["path"] in self._public:
            await self._app(scope, receive, send)
        elif _is_preflight(scope):
            await self._app(scope, calls.without_body(receive), send)
        else:
            judged = await self._judge(scope)
            if not isinstance(judged, AuthenticatedUser):
                await judged(scope, receive, send)
                return
            needed: set[str] = set()
            if self._tool_scopes:
                try:
                    body = await calls.read_body(scope, receive, limit=MAX_BODY)
                    tools = calls.tools_called(body)
                except calls.Unreadable as error:
                    await self._challenge.bad_request(error.status)(scope, receive, send)
                    return
                needed = {word for tool in tools for word in self._tool_scopes.get(tool, ())}
                receive = calls.replayed(body, receive)
            if {*self._challenge.scopes, *needed} <= set(judged.scopes):
                await self._hand_on(judged, scope, receive, send)
            else:
                await self._challenge.insufficient(sorted(needed))(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        judged = await self._judge(scope)
        # Messages on a socket are not judged one by one, so a resource with tool scopes has no sockets.
        if (
            isinstance(judged, AuthenticatedUser)
            and not self._tool_scopes
            and set(self._challenge.scopes) <= set(judged.scopes)
        ):
            await self._hand_on(judged, scope, receive, send)
        else:
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})

    async def _judge(self, scope: Scope) -> AuthenticatedUser | Response:
        """Return the person, or the answer that refuses. Only the header counts, and only one of it (RFC 6750 section 2.1)."""
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        if not headers:
            return self._challenge.unauthorized(token_sent=False)
        scheme, _, token = headers[0].partition(b" ")
        if len(headers) != 1 or scheme.lower() != b"bearer":
            return self._challenge.unauthorized(token_sent=True)
        try:
            verified = await self._verifier.judge(token.strip(b" ").decode("latin-1"))
        except BearerRefused:
            return self._challenge.unauthorized(token_sent=True)
        except KeysUnavailable:
            return self._challenge.unavailable(FIRST_COOL_DOWN)
        return AuthenticatedUser(verified)

    async def _hand_on(self, user: AuthenticatedUser, scope: Scope, receive: Receive, send: Send) -> None:
        state = {**scope.get("state", {}), "claims": user.access_token.claims}
        inner = {**scope, "user": user, "auth": AuthCredentials(user.scopes), "state": state}
        current = auth_context_var.set(user)
        try:
            await self._app(inner, receive, send)
        finally:
            auth_context_var.reset(current)


def _is_preflight(scope: Scope) -> bool:
    """Whether this is a CORS preflight, which browsers send without credentials and without a body, and which never acts."""
    names = {name for name, _ in scope["headers"]}
    body = b"transfer-encoding" in names or any(n == b"content-length" and v != b"0" for n, v in scope["headers"])
    asks = b"origin" in names and b"access-control-request-method" in names
    return scope["method"] == "OPTIONS" and asks and not body
