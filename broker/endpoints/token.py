"""POST /token (RFC 6749 section 3.2): the phases that all grant types share; rules E14, E15, E17.

Look up, authenticate, decide and consume, mint: in this order, so that a failed request spends nothing and nobody learns from an
error whether a guess was right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.client_gate import ClientGate
from broker.clock import Clock
from broker.grants.base import GrantType, TokenRequest
from broker.oauth import AUTH_METHODS, InvalidRequest, Reason, UnauthorizedClient, UnsupportedGrantType
from broker.protocol.client_keys import ALGORITHMS
from broker.token_issuer import TokenIssuer
from broker.web import caller_address, json_response, read_form

PATH = "/token"


class Token:
    """The token endpoint."""

    def __init__(
        self, issuer: str, *, gate: ClientGate, grants: Sequence[GrantType], tokens: TokenIssuer, clock: Clock
    ) -> None:
        """Keep the collaborators; `issuer` is for the metadata."""
        self._issuer = issuer
        self._gate = gate
        self._grants = {grant.grant_type: grant for grant in grants}
        self._tokens = tokens
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(PATH, self.handle, methods=["POST"])]

    def metadata(self) -> dict[str, Any]:
        """Return what discovery says of this endpoint (RFC 8414 section 2)."""
        return {
            "token_endpoint": self._issuer + PATH,
            "grant_types_supported": list(self._grants),
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        }

    async def handle(self, request: Request) -> Response:
        """Answer a token request; raises OAuthError, StoreUnavailable."""
        params = await read_form(request)
        presented = self._gate.present(request, params)
        grant_type = self._grants.get(params.require("grant_type"))
        if grant_type is None:
            raise UnsupportedGrantType(Reason.GRANT_TYPE_UNKNOWN)
        if params.get("authorization_details") is not None:  # refused, not ignored: it asks for less than a scope
            raise InvalidRequest(Reason.PARAMETER_UNSUPPORTED, "authorization_details")
        source = caller_address(request)
        found = await grant_type.find(params)
        client = await self._gate.admit(presented, found.grant if found else None, source=source)
        if grant_type.grant_type not in client.grant_types:
            raise UnauthorizedClient(Reason.GRANT_TYPE_NOT_ALLOWED)
        asked = TokenRequest(params=params, client=client, source=source, now=self._clock.now())
        return json_response(await self._tokens.issue(await grant_type.authorize(asked, found)))
