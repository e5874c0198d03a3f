"""Recognises the tokens that we issued: refresh tokens by their MAC, access tokens by their signature (RFC 7662 section 4; rule E10).

Whether a genuine token is still alive is never answered here: that is the store's to say, each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

from broker.keys import SigningKeys
from broker.model import Grant
from broker.oauth import InvalidToken, Reason
from broker.protocol import access_token, jws, refresh_token
from broker.protocol.access_token import AccessToken
from broker.store.base import Store

T = TypeVar("T")
REMEMBERED = 16_384  # tokens whose signature held, about 170 bytes each
READ = 1024  # those that were asked about last, with what they say: about 1.5 kB each
MOST_HEADERS = 64  # there is one for each key and type


class OwnTokens:
    """Tells our tokens from everything else."""

    def __init__(self, issuer: str, *, store: Store, keys: SigningKeys, remembered: int = REMEMBERED) -> None:
        """`issuer` is the one that our tokens name; `remembered` bounds the cache of verified signatures."""
        self._size = remembered
        self._issuer = issuer
        self._store = store
        self._keys = keys
        # By a token's SHA-256: its key and type where its signature held, and what it says. Losing an entry costs doing it again.
        self._verified: dict[bytes, tuple[str, str | None]] = {}
        self._read: dict[bytes, AccessToken] = {}
        self._headers: dict[str, tuple[str, str | None]] = {}  # an encoded header of ours -> its key and type

    async def refresh_token(self, text: str) -> tuple[Grant, int] | None:
        """Return the grant and the generation of a genuine refresh token; None for anything else. Raises StoreUnavailable."""
        unproven = refresh_token.parse(text)
        grant = await self._store.find_grant_by_handle(unproven.handle) if unproven else None
        mac_key = self._keys.mac_key(grant.mac_key_id) if grant else None
        # A right handle with a wrong MAC looks like no handle at all (rule E14).
        if unproven is None or grant is None or mac_key is None or not refresh_token.genuine(mac_key, unproven):
            return None
        return grant, unproven.generation

    async def access_token(self, text: str, *, now: int) -> AccessToken:
        """Return a genuine access token that has not expired at `now` (seconds); raises InvalidToken, StoreUnavailable."""
        key = hashlib.sha256(text.encode()).digest()
        found = self._verified.get(key)
        if found is None or self._keys.verification_key(found[0]) is None:
            found = await self._verify(text)
            _keep(self._verified, key, found, most=self._size)
        token = self._read.get(key)
        if token is None:
            token = access_token.read(found[1], _claims(text), issuer=self._issuer)
            _keep(self._read, key, token, most=READ)
        access_token.check_time(token, now=now)
        return token

    def minted(self, text: str) -> None:
        """Remember a token that was signed here a moment ago: whoever is asked about it need not verify our own signature."""
        header = text.partition(".")[0]
        known = self._headers.get(header)
        if known is None:
            if len(self._headers) >= MOST_HEADERS:
                self._headers.clear()
            members = jws.decode_object(jws.decode_base64url(header))
            known = self._headers[header] = (members["kid"], members["typ"])
        _keep(self._verified, hashlib.sha256(text.encode()).digest(), known, most=self._size)

    async def _verify(self, text: str) -> tuple[str, str | None]:
        try:
            unverified = jws.parse(text)
            key = await self._keys.find_verification_key(unverified.kid)
            if key is None:
                raise InvalidToken(Reason.TOKEN_SIGNATURE, "unknown key")
            jws.verify(unverified, key)
        except jws.JwsRefused as refused:
            raise InvalidToken(Reason.TOKEN_SIGNATURE, refused.reason) from None
        return unverified.kid, unverified.typ


def _claims(text: str) -> Mapping[str, Any]:
    """Return what a token says whose signature held; raises InvalidToken where that is no object."""
    try:
        return jws.decode_object(jws.decode_base64url(text.split(".")[1]))
    except jws.JwsRefused as refused:
        raise InvalidToken(Reason.TOKEN_SIGNATURE, refused.reason) from None


def _keep(remembered: dict[bytes, T], key: bytes, value: T, *, most: int) -> None:
    """Remember a value; the oldest goes when there are too many."""
    if len(remembered) >= most:
        del remembered[next(iter(remembered))]
    remembered[key] = value
