"""A provider's published keys (RFC 7517): imported one by one, signing keys only, cached by our own policy (security rule B8).

One unusable key never spoils the set. Servers send anything from `no-store` to nothing, so freshness is clamped to 5 min..24 h;
keys still serve for a day while the provider cannot be reached. A token that no key verifies asks again at most once in 30 s.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from providers.base import Fault, UpstreamError
from providers.http import UpstreamHttp, UpstreamResponse, document
from providers.kept import Fetched, Kept
from providers.signed_token import ALGORITHMS, SignedClaims, UnverifiedToken, VerificationKey, verify
from providers.strict import Malformed, base64url

MIN_FRESH, DEFAULT_FRESH, MAX_FRESH = 300, 3600, 86400  # seconds
_STALE = 86400  # seconds
_MAX_KEYS = 100
_MAX_TRIED = 8  # signatures checked for one token
_RSA_BYTES = range(2048 // 8, 8192 // 8 + 1)
_MAX_EXPONENT_BYTES = 4
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")

_RSA = frozenset(name for name in ALGORITHMS if name[:2] in ("RS", "PS"))
_BY_CURVE: Mapping[tuple[object, object], frozenset[str]] = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}


class KeySource:
    """The keys of one provider. `jwks_uri` returns where they are published, `now` epoch seconds."""

    def __init__(self, http: UpstreamHttp, jwks_uri: Callable[[], Awaitable[str]], now: Callable[[], int]) -> None:
        self._http = http
        self._jwks_uri = jwks_uri
        self._kept: Kept[tuple[VerificationKey, ...]] = Kept(self._fetch, now, stale_for=_STALE)

    async def verify(self, token: UnverifiedToken) -> SignedClaims:
        """Return the token's claims once a published key verifies it; raises UpstreamError when none does."""
        signed = verify(token, candidates(await self._kept.get(), token))
        if signed is not None:
            return signed
        keys = candidates(await self._kept.renewed(), token)  # rotated since, perhaps under the same kid
        signed = verify(token, keys)
        if signed is None:
            raise UpstreamError(Fault.PROTOCOL, "signature" if keys else "key_unknown")
        return signed

    async def _fetch(self) -> Fetched[tuple[VerificationKey, ...]]:
        response = await self._http.get_json(await self._jwks_uri(), operation="jwks")
        keys = import_keys(document(response, "jwks"))
        if not keys:
            raise UpstreamError(Fault.PROTOCOL, "jwks_unusable")
        return Fetched(keys, fresh_for(response))


def candidates(keys: Sequence[VerificationKey], token: UnverifiedToken) -> tuple[VerificationKey, ...]:
    """Return the keys to try in turn: those of the token's `kid`; without one, or in a lone key without one, all that fit."""
    able = [key for key in keys if token.alg in key.algorithms]
    if token.kid is not None and not (len(keys) == 1 and keys[0].kid is None):
        able = [key for key in able if key.kid == token.kid]
    return tuple(able[:_MAX_TRIED])


def fresh_for(response: UpstreamResponse) -> int:
    """Return for how many seconds a key set is fresh: its max-age within our limits."""
    header = response.headers.get("cache-control", "").lower()
    if "no-store" in header or "no-cache" in header:
        return MIN_FRESH
    max_age = _MAX_AGE.search(header)
    return min(max(int(max_age[1]), MIN_FRESH), MAX_FRESH) if max_age else DEFAULT_FRESH


def import_keys(jwk_set: Mapping[str, Any]) -> tuple[VerificationKey, ...]:
    """Return the usable signing keys of a JWK Set, leaving out every other."""
    entries = jwk_set.get("keys")
    if not isinstance(entries, list):
        return ()
    imported = (_import_key(entry) for entry in entries[:_MAX_KEYS] if isinstance(entry, dict))
    return tuple(key for key in imported if key is not None)


def _import_key(jwk: Mapping[str, Any]) -> VerificationKey | None:
    """Return one key, or None when it is not for verifying signatures, not public, weak, or broken."""
    jwk = {name: value for name, value in jwk.items() if value is not None}  # some servers write null for absent
    algorithms = _algorithms(jwk)
    kid, issuer = jwk.get("kid"), jwk.get("issuer")
    if not algorithms or not all(value is None or isinstance(value, str) for value in (kid, issuer)):
        return None
    try:
        return VerificationKey(kid=kid, algorithms=algorithms, key=_public_key(jwk), issuer=issuer)
    except (JoseError, KeyError, TypeError, ValueError, UnsupportedAlgorithm):
        return None


def _algorithms(jwk: Mapping[str, Any]) -> frozenset[str]:
    """Return what a key may verify by its own members (RFC 7517 sections 4.2 to 4.4); empty for none."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return frozenset()
    if "d" in jwk:  # a published private key is everybody's
        return frozenset()
    possible = _RSA if jwk.get("kty") == "RSA" else _BY_CURVE.get(_curve(jwk), frozenset())
    alg = str(jwk.get("alg", ""))
    fits = not alg or (alg in possible and jwk.get("kty") == "OKP")  # one curve, two names for its algorithm
    return possible if fits else possible & {alg}


def _curve(jwk: Mapping[str, Any]) -> tuple[object, object]:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    return (kty, crv) if isinstance(kty, str) and isinstance(crv, str) else (None, None)


def _public_key(jwk: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    """Import the mathematics and nothing else: x5c, x5u and members of others have no say."""
    if jwk["kty"] == "RSA":
        if len(_integer(jwk["n"])) not in _RSA_BYTES or len(_integer(jwk["e"])) > _MAX_EXPONENT_BYTES:
            raise Malformed
        return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
    if jwk["kty"] == "EC":
        return ECKey.import_key({"kty": "EC", "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]})
    return OKPKey.import_key({"kty": "OKP", "crv": jwk["crv"], "x": jwk["x"]})


def _integer(text: str) -> bytes:
    return base64url(text).lstrip(b"\0")
