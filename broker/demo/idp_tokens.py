"""The tokens of the development identity provider: RS256 ID and logout tokens with real keys (OpenID Connect Core section 2)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from broker.clock import Clock, Entropy
from broker.demo.idp_memory import Login
from broker.demo.people import Person

ID_TOKEN_TTL = 300  # seconds
LOGOUT_TOKEN_TTL = 120  # seconds
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
KEY_BITS = 2048


class Mint:
    """Signs with one RSA key that lives as long as the process."""

    def __init__(self, issuer: str, clock: Clock, entropy: Entropy) -> None:
        """Make the key."""
        self._issuer = issuer
        self._clock = clock
        self._entropy = entropy
        self._key = RSAKey.generate_key(KEY_BITS, {"use": "sig", "alg": "RS256"}, auto_kid=True)

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a set."""
        return {"keys": [self._key.as_dict(private=False)]}

    def id_token(
        self,
        person: Person,
        login: Login,
        *,
        client_id: str,
        scope: tuple[str, ...],
        access_token: str,
        nonce: str | None,
    ) -> str:
        """Return an ID token bound to the access token beside it (`at_hash`) and to the login (`sid`)."""
        now = self._clock.now()
        claims = {
            "iss": self._issuer,
            "aud": client_id,
            "azp": client_id,
            "iat": now,
            "exp": now + ID_TOKEN_TTL,
            "auth_time": login.auth_time,
            "acr": login.acr,
            "amr": list(login.amr),
            "sid": login.sid,
            "at_hash": half_hash(access_token),
            "jti": self._entropy.token(16),
            **({"nonce": nonce} if nonce is not None else {}),
            **about(person, scope),
        }
        return self._sign(claims, "JWT")

    def logout_token(self, person: Person, login: Login, client_id: str) -> str:
        """Return a logout token (OpenID Connect Back-Channel Logout section 2.4)."""
        now = self._clock.now()
        claims = {
            "iss": self._issuer,
            "aud": client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_TTL,
            "jti": self._entropy.token(16),
            "sub": person.subject,
            "sid": login.sid,
            "events": {LOGOUT_EVENT: {}},
        }
        return self._sign(claims, "logout+jwt")

    def read_hint(self, id_token: str) -> dict[str, Any] | None:
        """Return the claims of an ID token of ours, expired or not (RP-Initiated Logout section 4); None for anything else."""
        try:
            token = jwt.decode(id_token, self._key, algorithms=["RS256"])
        except (JoseError, ValueError):
            return None
        ours = token.claims.get("iss") == self._issuer and token.header.get("typ") == "JWT"
        return token.claims if ours else None

    def _sign(self, claims: dict[str, Any], typ: str) -> str:
        header = {"alg": "RS256", "typ": typ, "kid": self._key.kid}
        return jwt.encode(header, claims, self._key, algorithms=["RS256"])


def about(person: Person, scope: tuple[str, ...]) -> dict[str, Any]:
    """Return the claims about a person that a scope gives (OpenID Connect Core section 5.4); groups always, where they are known."""
    claims: dict[str, Any] = {"sub": person.subject}
    if "profile" in scope:
        claims |= {"name": person.name, "preferred_username": person.id}
    if "email" in scope:
        claims |= {"email": person.email, "email_verified": person.email_verified}
    if person.groups is not None:
        claims["groups"] = list(person.groups)
    return claims


def half_hash(token: str) -> str:
    """Return `at_hash` for RS256 (OpenID Connect Core section 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode("ascii")).digest()[:16]).rstrip(b"=").decode()
