"""The issuer's public keys as a resource server keeps them (RFC 8414 discovery, RFC 7517 sets).

Loaded when first needed, again every five minutes, and at most once in 30 s because of a `kid` nobody knows. One load at a
time; while the issuer is unreachable the last good keys stay. Keys that the issuer withdrew are gone with the next load.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx2

from broker.protocol import jws
from broker.protocol.bearer import BearerRefused

if TYPE_CHECKING:
    import ssl

    from broker.clock import Clock

RELOAD = 300  # seconds between loads while all is well
COOL_DOWN = 30  # seconds between loads for an unknown kid, and after a failed load
FIRST_COOL_DOWN = 2  # seconds after a failed load while there are no keys at all
TIMEOUT = 5  # seconds for discovery and keys together
MAX_DOCUMENT = 256 * 1024  # bytes
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

log = logging.getLogger("broker.resource_server")


class KeysUnavailable(Exception):
    """The issuer's keys were never had: nothing can be said about any token yet."""


class IssuerKeys:
    """The keys of one issuer. `generation` counts the loads that took a key away: what was verified before is open again."""

    def __init__(self, issuer: str, *, clock: Clock, http: httpx2.AsyncClient | None = None) -> None:
        """`http` is used as it is; without one, a client is made for each load."""
        self._issuer = issuer
        self._clock = clock
        self._http = http
        self._loopback = _is_loopback(issuer)
        self._tls: ssl.SSLContext | None = None
        self._lock = anyio.Lock()
        self._keys: dict[str, jws.VerifyingKey] | None = None
        self._ask_again_at = -math.inf
        self.due_at = -math.inf  # on the monotonic clock
        self.generation = 0

    async def find(self, kid: str) -> jws.VerifyingKey:
        """Return a key by its id; raises BearerRefused when the issuer has no such key, KeysUnavailable when it never answered."""
        await self.refresh()
        if self._keys is None:
            raise KeysUnavailable(self._issuer)
        # Whoever meets a load that is under way waits for what it brings.
        if kid not in self._keys and (self._lock.locked() or self._clock.monotonic() >= self._ask_again_at):
            async with self._lock:
                if kid not in self._keys and self._clock.monotonic() >= self._ask_again_at:
                    self._ask_again_at = self._clock.monotonic() + COOL_DOWN
                    await self._load()
        try:
            return self._keys[kid]
        except KeyError:
            raise BearerRefused("unknown_key") from None

    async def refresh(self) -> None:
        """Load the keys when that is due. One caller loads; the others go on with the keys there are."""
        if self._clock.monotonic() < self.due_at or (self._lock.locked() and self._keys is not None):
            return
        async with self._lock:
            if self._clock.monotonic() >= self.due_at:
                await self._load()

    async def _load(self) -> None:
        known = self._keys or {}
        try:
            with anyio.fail_after(TIMEOUT):
                loaded = await self._fetch_keys()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, jws.JwsRefused) as error:
            wait = FIRST_COOL_DOWN if self._keys is None else COOL_DOWN
            self.due_at = self._clock.monotonic() + wait
            log.warning("keys of %s not loaded (%s); trying again in %d s", self._issuer, type(error).__name__, wait)
            return
        self._keys = loaded
        self.due_at = self._clock.monotonic() + RELOAD
        if any(loaded.get(kid) != key for kid, key in known.items()):
            self.generation += 1

    async def _fetch_keys(self) -> dict[str, jws.VerifyingKey]:
        async with self._client() as http:
            metadata = await _fetch_object(http, metadata_url(self._issuer))
            if metadata.get("issuer") != self._issuer:  # RFC 8414 section 3.3
                raise jws.JwsRefused("issuer")
            jwks_uri = metadata.get("jwks_uri")
            if not isinstance(jwks_uri, str) or not (
                jwks_uri.startswith("https://") or (self._loopback and _is_loopback(jwks_uri))
            ):
                raise jws.JwsRefused("jwks_uri")
            return jws.import_keys(await _fetch_object(http, jwks_uri))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx2.AsyncClient]:
        if self._http is not None:
            yield self._http
            return
        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
        # The address comes from the administrator: the environment's proxies are as good for it as for anything else here.
        async with httpx2.AsyncClient(verify=self._tls, trust_env=not self._loopback, timeout=TIMEOUT) as client:
            yield client


def metadata_url(issuer: str) -> str:
    """Return where an issuer's metadata is (RFC 8414 section 3.1: inserted before the path)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


async def _fetch_object(http: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    async with http.stream("GET", url, headers={"Accept": "application/json"}, follow_redirects=False) as response:
        if response.status_code != httpx2.codes.OK:
            raise jws.JwsRefused("status")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_DOCUMENT:
                raise jws.JwsRefused("size")
    return jws.decode_object(bytes(body))


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK
