"""Finds and authenticates the client of a request to /token and /revoke (RFC 6749 section 3.2.1; rules E12, E14).

What the request presents is looked up first: a grant keeps its client's metadata, so a public client with a metadata document
causes no fetch here, and a host that is down ends nobody's grant.
"""

from __future__ import annotations

from starlette.requests import Request

from broker.client_auth import ClientAuthenticator, Presented
from broker.clients import ClientResolver
from broker.model import Client, Grant
from broker.web import Params


class ClientGate:
    """Lets a client through, or raises."""

    def __init__(self, clients: ClientResolver, client_auth: ClientAuthenticator) -> None:
        """Keep the collaborators."""
        self._clients = clients
        self._client_auth = client_auth

    def present(self, request: Request, params: Params) -> Presented:
        """Return the credentials that a request carries; raises InvalidRequest, InvalidClient."""
        return self._client_auth.present(request, params)

    async def admit(self, presented: Presented, grant: Grant | None, *, source: str) -> Client:
        """Return the authenticated client; `grant` is what the request's code or token belongs to.

        Somebody else's grant is no grant (rule E14): its snapshot is not for this caller. Raises InvalidClient and what finding a
        client may raise.
        """
        snapshot = grant.client_snapshot if grant is not None and grant.client_id == presented.client_id else None
        client = await self._clients.at_token(presented.client_id, snapshot, source=source)
        await self._client_auth.authenticate(client, presented)
        return client
