"""How the broker authenticates at an identity provider (RFC 6749 section 2.3, RFC 7523 section 2.2; security rule B18).

One way, which the settings choose; the provider's metadata only decides between the two places for a secret. Assertions carry one
`aud`, the configured issuer (the endpoint that is called only where a preset says so), and are signed with this provider's own key.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_plus

from providers.base import Fault, ProviderSettings, ProviderSettingsError, UpstreamError
from providers.private_key import AssertionKey, Unusable, load_key

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "federated_token_file", "none")
OPTIONS = frozenset({"auth_method", "certificate", "federated_token_file", "key_id", "private_key"})
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = 300  # seconds
_TOKEN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")  # a compact JWS
_MAX_TOKEN = 16 * 1024  # characters
_NEEDS = {
    "client_secret_basic": "client_secret",
    "client_secret_post": "client_secret",
    "private_key_jwt": "private_key",
    "federated_token_file": "federated_token_file",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one request carries: further form fields, or the value of the header `Authorization`."""

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization: str | None = field(default=None, repr=False)


class ClientAuth:
    """The broker's way of authenticating at one provider. Raises ProviderSettingsError for a key that cannot be used.

    `now` returns epoch seconds. `names_endpoint`: an assertion's `aud` is the endpoint that is called, not the issuer.
    `rsa_algorithm` signs with an RSA key. `unique` makes the `jti`.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        now: Callable[[], int],
        *,
        names_endpoint: bool = False,
        rsa_algorithm: str = "RS256",
        unique: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._settings = settings
        self._now = now
        self._names_endpoint = names_endpoint
        self._rsa_algorithm = rsa_algorithm
        self._unique = unique
        self._method = method(settings)
        self._key = _key(settings) if self._method == "private_key_jwt" else None

    @property
    def method(self) -> str | None:
        """The configured way; None for a secret whose place the provider's metadata decides."""
        return self._method

    @property
    def certificate_expires_at(self) -> int | None:
        """When the certificate ends, in epoch seconds; None without one."""
        return self._key.certificate_expires_at if self._key else None

    async def credentials(self, endpoint: str, offered: tuple[str, ...]) -> Credentials:
        """Return credentials for one request to `endpoint`; `offered` are the methods in the provider's metadata.

        Raises UpstreamError(OPERATOR) when nothing suits both sides, or when the federated token cannot be read.
        """
        client_id = {"client_id": self._settings.client_id}
        if self._key is not None:
            return Credentials({**client_id, **_assertion(await self._signed(self._key, endpoint))})
        if self._method == "federated_token_file":
            return Credentials({**client_id, **_assertion(await self._federated())})
        if self._method == "none":
            return Credentials(client_id)
        if (self._method or _place(offered)) == "client_secret_basic":
            return Credentials(authorization=basic(self._settings))
        return Credentials({**client_id, "client_secret": self._settings.client_secret or ""})

    async def _signed(self, key: AssertionKey, endpoint: str) -> str:
        now = self._now()
        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.client_id,
            "aud": endpoint if self._names_endpoint else self._settings.issuer,  # a text, not a list: one audience
            "jti": self._unique(),
            "iat": now,
            "nbf": now,
            "exp": now + ASSERTION_LIFE,
        }
        return await asyncio.to_thread(key.sign, claims, rsa_algorithm=self._rsa_algorithm)

    async def _federated(self) -> str:
        """Return the token in the file, which whoever runs this machine replaces every few minutes."""
        path = self._settings.options["federated_token_file"]
        try:
            token = (await asyncio.to_thread(Path(path).read_text, encoding="ascii")).strip()
        except (OSError, ValueError):
            token = ""
        if len(token) > _MAX_TOKEN or not _TOKEN.fullmatch(token):
            raise UpstreamError(Fault.OPERATOR, "federated_token_file")
        return token


def method(settings: ProviderSettings) -> str | None:
    """Return the way that the settings choose: the one they name, else the strongest of which they hold all parts."""
    given = settings.options
    if given.get("auth_method"):
        return given["auth_method"]
    for name, option in (("private_key_jwt", "private_key"), ("federated_token_file", "federated_token_file")):
        if given.get(option):
            return name
    return "none" if settings.client_secret is None else None


def faults(settings: ProviderSettings) -> tuple[str, ...]:
    """Return a sentence for each setting of these that cannot be used. Reads the key where it is in a file."""
    given = settings.options
    found = []
    chosen = method(settings)
    parts = {"client_secret": settings.client_secret, **given}
    if chosen is not None and chosen not in METHODS:
        found.append(f"AUTH_METHOD must be one of {', '.join(METHODS)}")
    elif chosen in _NEEDS and not parts.get(_NEEDS[chosen]):
        found.append(f"AUTH_METHOD {chosen} needs a {_NEEDS[chosen].upper()}")
    elif chosen == "private_key_jwt":
        try:
            _load(settings)
        except Unusable as fault:
            found.append(str(fault))
    if given.get("certificate") and not given.get("private_key"):
        found.append("CERTIFICATE needs the PRIVATE_KEY that belongs to it")
    return tuple(found)


def basic(settings: ProviderSettings) -> str:
    """Return the Basic credentials, id and secret form-encoded first (RFC 6749 section 2.3.1)."""
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _place(offered: tuple[str, ...]) -> str:
    """Return where a secret goes at a provider that offers these methods."""
    for name in ("client_secret_basic", "client_secret_post"):
        if name in offered:
            return name
    raise UpstreamError(Fault.OPERATOR, "auth_method")


def _assertion(token: str) -> dict[str, str]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


def _load(settings: ProviderSettings) -> AssertionKey:
    given = settings.options
    return load_key(given["private_key"], given.get("certificate") or None, given.get("key_id") or None)


def _key(settings: ProviderSettings) -> AssertionKey:
    try:
        return _load(settings)
    except Unusable as fault:
        raise ProviderSettingsError(f"provider {settings.id}: {fault}") from None
