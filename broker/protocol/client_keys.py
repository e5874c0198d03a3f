"""A client's public keys for its assertions (RFC 7517 sections 4 and 5, RFC 7591 section 2). Pure; rules D7, D12, E13.

Asymmetric signature keys only. A set that holds a private or symmetric key is refused whole: whoever published it lost it.
Other keys that cannot be used are left out, and at least one must remain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from broker.protocol import jws

MAX_KEYS = 20
MAX_RSA_BITS = 4096  # a larger one only costs us time, at every guess of anybody
MAX_KID = 256  # characters
COMMON = ("kty", "kid", "use", "alg")
# Only what was looked at is kept: a member of another type of key may hold anything, text that is no Unicode included.
OF_TYPE: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}

# The kind of a key (the algorithm by which broker.protocol.jws calls it) -> the algorithms that its owner may sign with.
_SIGNS: Mapping[str, tuple[str, ...]] = {
    "ES256": ("ES256",),
    "RS256": ("RS256", "PS256"),
    "EdDSA": ("EdDSA", "Ed25519"),  # one signature, two names (RFC 8037, RFC 9864)
}
ALGORITHMS = tuple(name for names in _SIGNS.values() for name in names)


class KeysRefused(Exception):
    """A key set that is not accepted; the message is a word of ours."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A public key; `kid` None when its owner named none."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: RSAKey | ECKey | OKPKey

    def signed(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether this key made a signature with this algorithm."""
        return alg in self.algorithms and JWSRegistry.algorithms[alg].verify(signing_input, signature, self.key)


def keep(document: object) -> str:
    """Return the JSON text of a key set that is worth keeping: usable keys, their public members, nothing else.

    Raises KeysRefused.
    """
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise KeysRefused("shape")
    if any(isinstance(member, dict) and jws.PRIVATE_MEMBERS & member.keys() for member in members):
        raise KeysRefused("private")
    usable = [member for member in members if _import(member) is not None]
    if not usable:
        raise KeysRefused("none usable")
    kept = [{n: member[n] for n in (*COMMON, *OF_TYPE[member["kty"]]) if n in member} for member in usable]
    return json.dumps({"keys": kept}, separators=(",", ":"))


@lru_cache(maxsize=256)
def read(jwks: str) -> tuple[ClientKey, ...]:
    """Return the keys of a text that `keep` made or an administrator configured; unusable ones are left out."""
    try:
        members = jws.decode_object(jwks.encode()).get("keys")
    except (jws.JwsRefused, UnicodeEncodeError):
        return ()
    if not isinstance(members, list):
        return ()
    return tuple(key for key in map(_import, members[:MAX_KEYS]) if key is not None)


def _import(member: Any) -> ClientKey | None:
    if not isinstance(member, dict):
        return None
    kid, alg = member.get("kid"), member.get("alg")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID and kid.isprintable()):
        return None
    shape = {**member, "kid": kid or "-"}  # a set of one key needs no name
    if alg == "PS256":
        shape["alg"] = "RS256"
    try:
        found = jws.import_key(shape)
    except (jws.JwsRefused, JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(found.key, RSAKey) and found.key.public_key.key_size > MAX_RSA_BITS:
        return None
    algorithms = _SIGNS[found.alg]
    if isinstance(alg, str) and found.alg != "EdDSA":  # both names of EdDSA mean the same
        algorithms = (alg,)
    return ClientKey(kid, algorithms, found.key)
