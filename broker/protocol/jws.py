"""JWS compact form and public JWKs (RFC 7515, 7517, 7518, 8037), read strictly: RS256, ES256 and EdDSA (Ed25519) only. Pure.

Refused: every other algorithm, tokens that bring a key or a critical extension of their own, base64url or JSON with two readings,
keys made for something else, weak or misshapen keys (rule F2). One unusable key leaves the rest of its set usable.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

MAX_TOKEN = 16 * 1024  # characters
RSA_BITS = range(2048, 8193)
P256_BYTES = ED25519_BYTES = 32
KEY_BRINGING_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip"})
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_ALGORITHMS = {name: JWSRegistry.algorithms[name] for name in ("RS256", "ES256", "EdDSA")}
# key type, curve -> JWS algorithm, and the names by which a JWK may call it (RFC 8037; RFC 9864 for the last)
_KEY_KINDS: Mapping[tuple[str, str | None], tuple[str, frozenset[str]]] = {
    ("RSA", None): ("RS256", frozenset({"RS256"})),
    ("EC", "P-256"): ("ES256", frozenset({"ES256"})),
    ("OKP", "Ed25519"): ("EdDSA", frozenset({"EdDSA", "Ed25519"})),
}
_SMALL_PRIMES = tuple(p for p in range(3, 168) if all(p % d for d in range(2, p)))
_POWERS_OF_F4 = {p: frozenset(pow(65537, i, p) for i in range(p)) for p in _SMALL_PRIMES}


class JwsRefused(Exception):
    """A token or key that is not accepted; `reason` is a word of ours."""

    def __init__(self, reason: str) -> None:
        """Keep the word: for the log and the tests, never for the other side."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, good for exactly one algorithm."""

    kid: str
    alg: str
    key: RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class Unverified:
    """A well-formed compact JWS before its signature was checked: good only for finding the key."""

    alg: str
    kid: str
    typ: str | None
    signing_input: bytes
    payload: bytes
    signature: bytes


def decode_base64url(text: str) -> bytes:
    """Return the bytes of unpadded base64url; its one spelling or JwsRefused (RFC 7515 section 2, RFC 4648 section 3.5)."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise JwsRefused("base64url") from None
    # Stray bits in the last character, padding and the other alphabet do not survive the way back.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise JwsRefused("base64url")
    return raw


def decode_json(raw: bytes) -> Any:
    """Return a JSON value in UTF-8 without repeated members or numbers that are not finite; raises JwsRefused."""
    try:
        return json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except (ValueError, RecursionError):
        raise JwsRefused("json") from None


def decode_object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object, as strictly as `decode_json`; raises JwsRefused."""
    value = decode_json(raw)
    if not isinstance(value, dict):
        raise JwsRefused("json")
    return value


def parse(token: str) -> Unverified:
    """Take a compact JWS apart (RFC 7515 section 7.1); nothing in it is trusted yet. Raises JwsRefused."""
    parts = token.split(".") if len(token) <= MAX_TOKEN else ()
    if len(parts) != 3 or not parts[0] or not parts[2]:  # noqa: PLR2004 - header, payload, signature
        raise JwsRefused("shape")
    header = decode_object(decode_base64url(parts[0]))
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(alg, str) or alg not in _ALGORITHMS:  # a list or an object would not even compare
        raise JwsRefused("algorithm")
    if KEY_BRINGING_HEADERS & header.keys():
        raise JwsRefused("header")
    if not isinstance(kid, str) or not kid or not isinstance(typ, str | None):
        raise JwsRefused("header")
    payload, signature = decode_base64url(parts[1]), decode_base64url(parts[2])
    signing_input = f"{parts[0]}.{parts[1]}".encode("ascii")
    return Unverified(alg=alg, kid=kid, typ=typ, signing_input=signing_input, payload=payload, signature=signature)


def verify(unverified: Unverified, key: VerifyingKey) -> bytes:
    """Return the payload once the signature holds under this key and its own algorithm; raises JwsRefused."""
    # The key decides the algorithm, the header must agree: no confusion between kinds of keys (RFC 8725 section 3.1).
    if unverified.alg != key.alg or unverified.kid != key.kid:
        raise JwsRefused("algorithm")
    algorithm = _ALGORITHMS[key.alg]
    algorithm.check_key(key.key)
    if not algorithm.verify(unverified.signing_input, unverified.signature, key.key):
        raise JwsRefused("signature")
    return unverified.payload


def import_keys(document: Mapping[str, Any]) -> dict[str, VerifyingKey]:
    """Return the usable keys of a JWK set by `kid`; a `kid` that several usable keys share names none of them.

    Unusable keys are left out: one of them never spoils the set. Raises JwsRefused when it is not a set at all.
    """
    members = document.get("keys")
    if not isinstance(members, list):
        raise JwsRefused("jwks")
    usable = []
    for member in members:
        try:
            usable.append(import_key(member))
        except (JwsRefused, JoseError, ValueError, TypeError, KeyError):
            continue
    times = Counter(key.kid for key in usable)
    return {key.kid: key for key in usable if times[key.kid] == 1}


def import_key(member: object) -> VerifyingKey:
    """Return one public signature key of a JWK; raises JwsRefused, or ValueError and JoseError from the library below."""
    if not isinstance(member, dict):
        raise JwsRefused("jwk")
    kid, kty, crv = member.get("kid"), member.get("kty"), member.get("crv")
    if not isinstance(kid, str) or not kid or not isinstance(kty, str) or not isinstance(crv, str | None):
        raise JwsRefused("jwk")
    alg, names = _KEY_KINDS.get((kty, crv), ("", frozenset()))
    operations, said = member.get("key_ops", ["verify"]), member.get("alg", alg)
    if (
        not isinstance(said, str)
        or said not in names
        or member.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or PRIVATE_MEMBERS & member.keys()
    ):
        raise JwsRefused("jwk")
    if alg == "RS256":
        return VerifyingKey(kid, alg, _rsa_key(member))
    if alg == "ES256":
        if any(len(_octets(member, name)) != P256_BYTES for name in ("x", "y")):  # RFC 7518 section 6.2.1.2: full width
            raise JwsRefused("jwk")
        point = {"kty": "EC", "crv": "P-256", "x": member["x"], "y": member["y"]}
        return VerifyingKey(kid, alg, ECKey.import_key(point))
    if len(_octets(member, "x")) != ED25519_BYTES:
        raise JwsRefused("jwk")
    return VerifyingKey(kid, alg, OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": member["x"]}))


def _rsa_key(member: Mapping[str, Any]) -> RSAKey:
    n, e = (int.from_bytes(_octets(member, name), "big") for name in ("n", "e"))
    # 2048 bits: RFC 7518 section 3.3. An exponent of 1 signs nothing; above 32 bits it only costs us time.
    if n.bit_length() not in RSA_BITS or not n % 2 or not e % 2 or not 1 < e < 1 << 32 or _is_roca(n):
        raise JwsRefused("jwk")
    return RSAKey.import_key({"kty": "RSA", "n": member["n"], "e": member["e"]})


def _is_roca(n: int) -> bool:
    """Whether the modulus has the fingerprint of CVE-2017-15361: a power of 65537 modulo every small prime."""
    return all(n % p in powers for p, powers in _POWERS_OF_F4.items())


def _octets(member: Mapping[str, Any], name: str) -> bytes:
    value = member.get(name)
    if not isinstance(value, str):
        raise JwsRefused("jwk")
    return decode_base64url(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
