"""POST /introspect (RFC 7662): a resource server asks about a token made for it; rules E10, E22.

Only access tokens for the caller's own audience are active. A refresh token, a token for somebody else, and a text that is no token
get the same answer. Whether the token or its grant was ended is asked of the store each time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.clock import Clock
from broker.model import Resource, digest
from broker.oauth import InvalidClient, InvalidToken, Reason
from broker.own_tokens import OwnTokens
from broker.protocol import basic_credentials
from broker.store.base import Store
from broker.web import header_values, json_response, read_form

PATH = "/introspect"
SPELLINGS = 4  # of one resource's right credentials that are remembered: it sends the same with every request
_NOBODY = digest("no resource has this secret")


class Introspect:
    """The introspection endpoint."""

    def __init__(
        self, issuer: str, *, resources: Sequence[Resource], tokens: OwnTokens, store: Store, clock: Clock
    ) -> None:
        """Keep the collaborators; only resources with a secret may ask. `issuer` is for the metadata."""
        self._issuer = issuer
        self._callers = {r.id: r for r in resources if r.secret_hash is not None}
        self._recognised: dict[bytes, Resource] = {}  # by the SHA-256 of an Authorization header that was right
        self._tokens = tokens
        self._store = store
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(PATH, self.handle, methods=["POST"])]

    def metadata(self) -> dict[str, Any]:
        """Return what discovery says of this endpoint (RFC 8414 section 2); nothing when nobody may ask."""
        if not self._callers:
            return {}
        return {
            "introspection_endpoint": self._issuer + PATH,
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    async def handle(self, request: Request) -> Response:
        """Say whether a token is active for the caller. Raises InvalidClient, InvalidRequest, StoreUnavailable."""
        caller = self._authenticate(request)
        params = await read_form(request)
        return json_response(await self._describe(params.require("token"), caller))

    async def _describe(self, text: str, caller: Resource) -> dict[str, Any]:
        now = self._clock.now()
        try:
            token = await self._tokens.access_token(text, now=now)
        except InvalidToken:
            return {"active": False}
        if token.audience != caller.url or await self._store.token_ended(token.jti, token.grant_id, now=now):
            return {"active": False}
        return {"active": True, "token_type": "Bearer", **token.claims}

    def _authenticate(self, request: Request) -> Resource:
        """Return the resource whose credentials the request carries in HTTP Basic (RFC 7617)."""
        headers = header_values(request, b"authorization")
        if len(headers) != 1:
            raise InvalidClient(Reason.CREDENTIALS_AMBIGUOUS if headers else Reason.CREDENTIALS_MISSING)
        written = hashlib.sha256(headers[0]).digest()
        recognised = self._recognised.get(written)
        if recognised is not None:
            return recognised
        presented = basic_credentials.parse(headers[0].decode("latin-1"))
        caller = self._callers.get(presented.id)
        expected = caller.secret_hash if caller is not None and caller.secret_hash is not None else _NOBODY
        # Every reading is compared, whichever matches, and for unknown ids too (rule E14).
        matches = [hmac.compare_digest(digest(reading), expected) for reading in presented.secrets]
        if caller is None or not any(matches):
            raise InvalidClient(Reason.CREDENTIALS_WRONG)
        if len(self._recognised) < SPELLINGS * len(self._callers):
            self._recognised[written] = caller
        return caller
