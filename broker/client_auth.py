"""Client authentication (RFC 6749 section 2.3, RFC 7523 section 3; rules E12 to E14).

One mechanism, of the registered kind: none, a secret (Basic or body, whichever is sent: clients mix them up), or an assertion.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from starlette.requests import Request

from broker.clients import ClientResolver
from broker.clock import Clock
from broker.model import Client, digest
from broker.oauth import ASSERTION_TYPE_JWT_BEARER, InvalidClient, InvalidRequest, Reason
from broker.protocol import basic_credentials, client_assertion
from broker.settings import Settings
from broker.store.base import Store
from broker.web import Params, caller_address, header_values

NONE, SECRET, ASSERTION = "none", "secret", "assertion"
KIND = {"none": NONE, "client_secret_basic": SECRET, "client_secret_post": SECRET, "private_key_jwt": ASSERTION}
PURPOSE = "client_assertion"  # of what the store consumes once
MAX_CLIENT_ID = 2048  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request says about who sends it; nothing is proven yet. Secrets are hashed at once, each reading of them."""

    client_id: str
    kind: str
    source: str
    secret_hashes: tuple[bytes, ...] = field(default=(), repr=False)
    assertion: client_assertion.Unverified | None = field(default=None, repr=False)


class ClientAuthenticator:
    """Reads and checks what clients present at the token, revocation and introspection endpoints."""

    def __init__(self, settings: Settings, *, clients: ClientResolver, store: Store, clock: Clock) -> None:
        """Accept assertions for our issuer alone, or for the token endpoint too where settings say so (rule E13)."""
        self._clients = clients
        self._store = store
        self._clock = clock
        self._audiences: tuple[str, ...] = (settings.issuer,)
        if settings.assertion_audience == "issuer_or_token_endpoint":
            self._audiences += (settings.url("/token"),)

    def present(self, request: Request, params: Params) -> Presented:
        """Return what the request presents; `params` is its body.

        Raises InvalidRequest for two mechanisms at once or two ids, InvalidClient for none at all or a malformed one.
        """
        headers = header_values(request, b"authorization")
        secret, assertion = params.get("client_secret"), params.get("client_assertion")
        assertion_type = params.get("client_assertion_type")
        if len(headers) + (secret is not None) + (assertion is not None or assertion_type is not None) > 1:
            raise InvalidRequest(Reason.CREDENTIALS_AMBIGUOUS)
        source, client_id = caller_address(request), params.get("client_id")
        if headers:
            basic = basic_credentials.parse(headers[0].decode("latin-1"))
            kind = SECRET if basic.secrets else NONE
            hashes = tuple(digest(reading) for reading in basic.secrets)
            presented = Presented(client_id=basic.id, kind=kind, source=source, secret_hashes=hashes)
        elif assertion is not None or assertion_type is not None:
            if assertion is None or assertion_type != ASSERTION_TYPE_JWT_BEARER:
                raise InvalidClient(Reason.CREDENTIALS_KIND, "client_assertion_type")
            parsed = client_assertion.parse(assertion)  # its `sub` names the client where the body does not
            presented = Presented(client_id=parsed.client_id, kind=ASSERTION, source=source, assertion=parsed)
        elif client_id is None:
            raise InvalidClient(Reason.CREDENTIALS_MISSING)
        elif secret is not None:
            presented = Presented(client_id=client_id, kind=SECRET, source=source, secret_hashes=(digest(secret),))
        else:
            presented = Presented(client_id=client_id, kind=NONE, source=source)
        if client_id not in (None, presented.client_id):
            raise InvalidRequest(Reason.CREDENTIALS_AMBIGUOUS, "two client ids")
        if len(presented.client_id) > MAX_CLIENT_ID:
            raise InvalidClient(Reason.CLIENT_UNKNOWN)
        return presented

    async def authenticate(self, client: Client, presented: Presented) -> None:
        """Check the proof of a client, who must be the one that was presented.

        Raises InvalidClient, the same for every wrong proof; StoreUnavailable and TemporarilyUnavailable for outages.
        """
        if presented.client_id != client.client_id:
            raise InvalidClient(Reason.CREDENTIALS_WRONG, "another client")
        kind = KIND.get(client.token_endpoint_auth_method)
        if presented.kind != kind:
            missing = presented.kind == NONE
            raise InvalidClient(Reason.CREDENTIALS_MISSING if missing else Reason.CREDENTIALS_KIND)
        if kind == SECRET and not _matches(client.secret_hash, presented.secret_hashes):
            raise InvalidClient(Reason.CREDENTIALS_WRONG)
        if presented.assertion is not None:
            await self._check_assertion(client, presented.assertion, presented.source)

    async def _check_assertion(self, client: Client, assertion: client_assertion.Unverified, source: str) -> None:
        now = self._clock.now()
        once = client_assertion.check(assertion, client_id=client.client_id, audiences=self._audiences, now=now)
        keys = await self._clients.assertion_keys(client, source=source)
        if not client_assertion.is_signed(assertion, keys):
            renewed = await self._clients.assertion_keys(client, source=source, renew=True)
            if renewed == keys or not client_assertion.is_signed(assertion, renewed):
                raise InvalidClient(Reason.ASSERTION_INVALID, "signature")
        # Consumed after the signature held: a forger cannot spend the real client's jti.
        if not await self._store.first_use(PURPOSE, once.key, expires_at=once.expires_at, now=now):
            raise InvalidClient(Reason.ASSERTION_REPLAYED)


def _matches(expected: bytes | None, readings: tuple[bytes, ...]) -> bool:
    """Compare in constant time; every reading is compared, whichever matches (rule E14)."""
    results = [hmac.compare_digest(expected or b"", reading) for reading in readings]
    return expected is not None and any(results)
