"""`BrokerTokenVerifier`: the MCP SDK's TokenVerifier over the broker's JWTs (RFC 9068).

It judges signature, issuer, audience, time and type, not scopes: a verifier that refuses a token for its scopes turns the 403 that
starts a client's step-up into a 401.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp.server.auth.provider import AccessToken

from broker.clock import Clock, SystemClock
from broker.protocol import bearer, jws
from broker.protocol.bearer import BearerRefused
from broker.resource_server.keys import IssuerKeys, KeysUnavailable

if TYPE_CHECKING:
    import httpx2

TOKEN_TYPES = ("at+jwt", "JWT")

log = logging.getLogger("broker.resource_server")


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was verified, the generation of keys it was verified with, and the names of its claims that are containers."""

    token: bearer.Bearer
    generation: int
    nested: tuple[str, ...]


class BrokerTokenVerifier:
    """Verifies access tokens that `issuer` made for `resource`, both compared byte for byte.

    Parameters: `token_typ` is `at+jwt`, or `JWT` where the resource is configured so; `http` fetches the issuer's metadata and keys
    (default: a client of its own, TLS by the system's certificates); `cache_size` tokens are remembered as verified.
    Sources: RFC 9068 section 4; RFC 8414 for the keys.
    """

    def __init__(
        self,
        issuer: str,
        resource: str,
        *,
        token_typ: str = "at+jwt",  # noqa: S107 - RFC 9068 section 2.1
        http: httpx2.AsyncClient | None = None,
        clock: Clock | None = None,
        cache_size: int = 10_000,
    ) -> None:
        """Remember what to expect; nothing is fetched before the first token."""
        if token_typ not in TOKEN_TYPES:
            raise ValueError(f"token_typ is one of {', '.join(TOKEN_TYPES)}")
        self._expected = bearer.Expected(issuer=issuer, resource=resource, typ=token_typ)
        self._clock = clock or SystemClock()
        self._keys = IssuerKeys(issuer, clock=self._clock, http=http)
        self._cache_size = cache_size
        self._known: dict[bytes, _Known] = {}

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the token says, or None for anything that is not a good token for this resource."""
        try:
            return await self.judge(token)
        except (BearerRefused, KeysUnavailable) as error:
            log.info("token refused: %s", error)
            return None

    async def judge(self, token: str) -> AccessToken:
        """Return what the token says; raises BearerRefused with the reason, or KeysUnavailable when nobody can tell yet."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and self._clock.monotonic() >= self._keys.due_at:
            await self._keys.refresh()
        if known is None or known.generation != self._keys.generation:
            known = await self._verify(digest, token)
        if not known.token.alive(self._clock.now()):  # on every call: the cache never lengthens a token's life
            self._known.pop(digest, None)
            raise BearerRefused("time")
        claims = dict(known.token.claims)
        for nested in known.nested:
            claims[nested] = _copied(claims[nested])
        # A new object every time: what one request does to its claims never reaches another.
        return AccessToken(
            token=token,
            client_id=known.token.client_id,
            scopes=[*known.token.scopes],
            expires_at=known.token.expires_at,
            resource=self._expected.resource,
            subject=known.token.subject,
            claims=claims,
        )

    async def _verify(self, digest: bytes, token: str) -> _Known:
        self._known.pop(digest, None)
        try:
            unverified = jws.parse(token)
            bearer.check_type(unverified, self._expected)
            key = await self._keys.find(unverified.kid)
            generation = self._keys.generation
            payload = jws.verify(unverified, key)
        except jws.JwsRefused as error:
            raise BearerRefused(error.reason) from None
        checked = bearer.check_payload(payload, self._expected, self._clock.now())
        nested = tuple(name for name, value in checked.claims.items() if isinstance(value, list | dict))
        known = _Known(checked, generation, nested)
        while len(self._known) >= self._cache_size:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[digest] = known
        return known


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return value
