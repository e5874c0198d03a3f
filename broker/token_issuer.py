"""The only place that mints: access tokens (RFC 9068) and refresh tokens, as the token response of RFC 6749 section 5.1.

What may be minted was decided and stored before: an `Authorization` exists only once its code or refresh token was consumed and
the audit event of the issue is committed. A failure here may cost the client a code, never its single use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.clock import Clock
from broker.keys import SigningKeys
from broker.model import Grant, Resource
from broker.oauth import InvalidGrant, Reason
from broker.protocol import access_token, refresh_token

TokenResponse = Mapping[str, str | int]
Minted = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What a grant type decided: one access token, and the refresh token of `generation` where that is not None.

    `ttl` is the access token's life in seconds; `jti` is the id under which the audit trail already knows it.
    """

    grant: Grant
    resource: Resource
    scopes: tuple[str, ...]
    jti: str
    ttl: int
    generation: int | None


class TokenIssuer:
    """Turns an authorization into tokens."""

    def __init__(
        self, issuer: str, signing_alg: str, *, keys: SigningKeys, clock: Clock, minted: Minted | None = None
    ) -> None:
        """`signing_alg` is taken for resources that name none of their own; `minted` is told every access token."""
        self._minted = minted
        self._issuer = issuer
        self._signing_alg = signing_alg
        self._keys = keys
        self._clock = clock

    async def issue(self, authorization: Authorization) -> TokenResponse:
        """Return the token response: always Bearer, always with the scope granted. Raises TemporarilyUnavailable without a key."""
        grant, resource = authorization.grant, authorization.resource
        claims = access_token.claims(
            grant,
            issuer=self._issuer,
            audience=resource.url,
            scopes=authorization.scopes,
            jti=authorization.jti,
            now=self._clock.now(),
            ttl=authorization.ttl,
        )
        alg = resource.signing_alg or self._signing_alg
        token = await self._keys.sign(claims, alg=alg, typ=resource.token_typ)
        if self._minted is not None:
            self._minted(token)
        response: dict[str, str | int] = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": authorization.ttl,
            "scope": " ".join(authorization.scopes),
        }
        if authorization.generation is not None:
            response["refresh_token"] = self._refresh_token(grant, authorization.generation)
        return response

    def _refresh_token(self, grant: Grant, generation: int) -> str:
        mac_key = self._keys.mac_key(grant.mac_key_id)
        if mac_key is None:  # the row names a key of another installation
            raise InvalidGrant(Reason.REFRESH_UNKNOWN)
        return refresh_token.mint(mac_key, grant.handle, generation)
