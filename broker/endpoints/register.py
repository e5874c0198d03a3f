"""POST /register (RFC 7591 sections 3.1 and 3.2; security rules D13, D14): limited, expiring when unused, switchable."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.audit import Audit, Event
from broker.clock import Clock, Entropy
from broker.model import Client, digest
from broker.oauth import (
    InvalidClientMetadata,
    InvalidRequest,
    InvalidToken,
    Reason,
    RegistrationOff,
    TooManyRequests,
)
from broker.protocol import client_metadata
from broker.protocol.public_address import network_of
from broker.settings import Settings
from broker.store.base import Registration, RegistrationLimits, Store
from broker.web import caller_address, json_response, read_json_object

LONGEST_RETRY = 60  # seconds; a client that is told to wait an hour never comes back
FULL_RETRY = 300  # seconds


class Register:
    """The dynamic client registration endpoint."""

    def __init__(self, settings: Settings, *, store: Store, clock: Clock, entropy: Entropy, audit: Audit) -> None:
        """Keep the collaborators."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._audit = audit
        rate = settings.dcr_rate
        self._limits = RegistrationLimits(rate=rate.count, window=rate.window, unused=settings.dcr_unused)

    def routes(self) -> list[Route]:
        """Return the one route; it answers 404 while registration is switched off."""
        return [Route("/register", self.handle, methods=["POST"])]

    def metadata(self) -> dict[str, Any]:
        """RFC 8414 section 2: advertised only while it works."""
        return {"registration_endpoint": self._settings.url("/register")} if self._settings.dcr else {}

    async def handle(self, request: Request) -> Response:
        """Register a client."""
        if not self._settings.dcr:
            raise RegistrationOff(Reason.FEATURE_OFF)
        self._check_initial_access_token(request)
        try:
            body = await read_json_object(request)
        except InvalidRequest as fault:
            raise InvalidClientMetadata(fault.reason, fault.detail) from None  # RFC 7591 section 3.2.2
        now = self._clock.now()
        client = client_metadata.from_registration(
            body,
            client_id=f"c_{self._entropy.token(16)}",  # never https://, never u_ as subjects start
            now=now,
            expires_at=now + self._settings.dcr_unused_ttl,
            schemes=self._settings.redirect_schemes,
        )
        secret = None
        if client.token_endpoint_auth_method in client_metadata.SECRET_METHODS:
            secret = self._entropy.token(32)
            client = replace(client, secret_hash=digest(secret))
        await self._save(client, network_of(caller_address(request)), now)
        return json_response(_answer(client, secret), status=201)

    def _check_initial_access_token(self, request: Request) -> None:
        expected = self._settings.dcr_token
        if expected is None:
            return
        presented = request.headers.getlist("authorization")
        scheme, _, token = presented[0].partition(" ") if len(presented) == 1 else ("", "", "")
        matches = hmac.compare_digest(digest(token.strip(" ")), digest(expected.reveal()))
        if scheme.lower() != "bearer" or not matches:
            raise InvalidToken(Reason.CREDENTIALS_WRONG if presented else Reason.CREDENTIALS_MISSING)

    async def _save(self, client: Client, source: str, now: int) -> None:
        event = self._audit.event(
            Event.CLIENT_REGISTERED,
            client_id=client.client_id,
            source=source,
            auth_method=client.token_endpoint_auth_method,
        )
        outcome = await self._store.register_client(client, source=source, limits=self._limits, now=now, events=[event])
        if outcome is Registration.RATE_LIMITED:
            raise TooManyRequests(Reason.RATE_LIMITED, retry_after=min(self._limits.window, LONGEST_RETRY))
        if outcome is Registration.FULL:
            raise TooManyRequests(Reason.RATE_LIMITED, "registrations in all", retry_after=FULL_RETRY)


def _answer(client: Client, secret: str | None) -> dict[str, Any]:
    """Return the client information response: what was registered, the secret this once (RFC 7591 section 3.2.1)."""
    answer: dict[str, Any] = {"client_id": client.client_id, "client_id_issued_at": client.created_at}
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return answer | client_metadata.members(client)
