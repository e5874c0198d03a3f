"""POST /revoke (RFC 7009): a refresh token ends its grant, an access token ends itself; rules E11, E14, E22.

A client ends only what is its own. Anything else is answered like success and changes nothing; a fault of the store never is.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.audit import Audit, Event
from broker.audit_fields import AboutGrant
from broker.client_gate import ClientGate
from broker.clock import Clock
from broker.model import Grant
from broker.oauth import AUTH_METHODS, InvalidToken
from broker.own_tokens import OwnTokens
from broker.protocol.access_token import AccessToken
from broker.protocol.client_keys import ALGORITHMS
from broker.store.base import Store
from broker.web import caller_address, json_response, read_form

PATH = "/revoke"
REASON = "revoked_by_client"


class Revoke:
    """The revocation endpoint."""

    def __init__(
        self, issuer: str, *, gate: ClientGate, tokens: OwnTokens, store: Store, clock: Clock, audit: Audit
    ) -> None:
        """Keep the collaborators; `issuer` is for the metadata."""
        self._issuer = issuer
        self._gate = gate
        self._tokens = tokens
        self._store = store
        self._clock = clock
        self._audit = audit

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(PATH, self.handle, methods=["POST"])]

    def metadata(self) -> dict[str, Any]:
        """Return what discovery says of this endpoint (RFC 8414 section 2)."""
        return {
            "revocation_endpoint": self._issuer + PATH,
            "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        }

    async def handle(self, request: Request) -> Response:
        """End a token of the caller's; 200 whatever it was. Raises OAuthError, StoreUnavailable."""
        params = await read_form(request)
        presented = self._gate.present(request, params)
        text = params.require("token")  # token_type_hint is not needed: our tokens tell their kind
        now = self._clock.now()
        token, grant = await self._find(text, now)
        client = await self._gate.admit(presented, grant, source=caller_address(request))
        if grant is not None and grant.client_id == client.client_id:
            await self._end(token, grant, now)
        return json_response({})

    async def _find(self, text: str, now: int) -> tuple[AccessToken | None, Grant | None]:
        """Return the access token, if it is one, and the grant behind a token of ours."""
        row = await self._tokens.refresh_token(text)
        if row is not None:  # of any generation: the client wants the connection to end
            return None, row[0]
        try:
            token = await self._tokens.access_token(text, now=now)
        except InvalidToken:
            return None, None
        return token, await self._store.find_grant(token.grant_id)

    async def _end(self, token: AccessToken | None, grant: Grant, now: int) -> None:
        ids = AboutGrant(client_id=grant.client_id, resource=grant.resource, grant_id=grant.grant_id)
        subject = grant.identity.subject
        if token is not None:
            event = self._audit.event(Event.TOKEN_REVOKED, subject=subject, **ids, jti=token.jti)
            await self._store.revoke_token(token.jti, expires_at=token.expires_at, events=[event])
        else:
            event = self._audit.event(Event.GRANT_REVOKED, subject=subject, **ids, reason=REASON)
            await self._store.revoke_grant(grant.grant_id, now=now, reason=REASON, events=[event])
