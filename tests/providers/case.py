"""One provider under test: the adapter, the scripted provider behind it, and a clock to turn."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from providers.base import Callback, Fault, Provider, ProviderSettings, UpstreamError, UpstreamIdentity, UpstreamRequest
from providers.http import open_http
from providers.registry import build
from tests.providers.scripted_idp import ScriptedIdp

START = 1_800_000_000
REDIRECT_URI = "https://broker.example.test/callback/idp"
ISSUERS = {"oidc": "https://idp.example.test", "keycloak": "https://kc.example.test/auth/realms/acme"}


@dataclass
class Clock:
    """Epoch seconds that move when told to."""

    value: int = START

    def now(self) -> int:
        """Return the time."""
        return self.value


@dataclass
class Case:
    """A provider and what is around it."""

    kind: str
    idp: ScriptedIdp
    clock: Clock
    settings: ProviderSettings
    provider: Provider
    observed: list[tuple[str, float]] = field(default_factory=list)

    async def sign_in(self, request: UpstreamRequest | None = None) -> UpstreamIdentity:
        """Go the whole way that a person goes; raises what the adapter raises."""
        request = request or upstream_request()
        params = await self.idp.follow(await self.provider.authorization_url(request))
        return await self.provider.identify(Callback(params=params), request)

    async def refusal(self, request: UpstreamRequest | None = None) -> UpstreamError:
        """Return the error that ends the login, after looking that it says nothing it must not (rules B12, B13)."""
        with pytest.raises(UpstreamError) as caught:
            await self.sign_in(request)
        error = caught.value
        assert re.fullmatch(r"[a-z_]+", error.reason)
        assert error.__context__ is None or isinstance(error.__context__, UpstreamError | ValueError)
        assert "upstream words" not in repr(error)
        return error

    async def is_refused(self, reason: str, fault: Fault = Fault.PROTOCOL) -> None:
        """Assert that the login ends with this reason and fault."""
        error = await self.refusal()
        assert (error.reason, error.fault) == (reason, fault)


@asynccontextmanager
async def open_case(kind: str, *, idp: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Case]:
    """Open a case of a provider type; `idp` are arguments of the scripted provider, `changes` of the settings."""
    clock = Clock()
    scripted = ScriptedIdp(**{"issuer": ISSUERS.get(kind, ISSUERS["oidc"]), "now": clock.now, **(idp or {})})
    settings = scripted.settings(kind, **{"timeout": 2.0, **changes})
    observed: list[tuple[str, float]] = []

    def observe(operation: str, seconds: float) -> None:
        observed.append((operation, seconds))

    async with open_http(settings, transport=scripted.transport, observe=observe) as http:
        provider = build(settings, http, clock.now)
        yield Case(kind, scripted, clock, settings, provider, observed)


def upstream_request(**changes: Any) -> UpstreamRequest:
    """Return a login as the broker stores one."""
    fresh: dict[str, Any] = {
        "redirect_uri": REDIRECT_URI,
        "state": secrets.token_urlsafe(32),
        "nonce": secrets.token_urlsafe(32),
        "code_verifier": secrets.token_urlsafe(48),
    }
    return UpstreamRequest(**{**fresh, **changes})
