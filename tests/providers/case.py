"""One provider under test: the adapter, the scripted provider behind it, and a clock to turn."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from providers.base import (
    Callback,
    Fault,
    Provider,
    ProviderSettings,
    ProviderType,
    RefreshesIdentity,
    UpstreamError,
    UpstreamIdentity,
    UpstreamRequest,
)
from providers.console import Console
from providers.http import open_http
from providers.oidc import OpenIdProvider
from providers.registry import build, provider_types
from tests.providers.kinds import KINDS, Kind
from tests.providers.scripted_idp import Person, ScriptedIdp

START = 1_800_000_000
TYPES = provider_types([])  # looked up once: reading every installed package takes longer than a test
REDIRECT_URI = "https://broker.example.test/callback/idp"


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

    @property
    def console(self) -> Console:
        """Where things are in the console of this type's vendor."""
        assert isinstance(self.provider, OpenIdProvider)
        console: Console = vars(self.provider)["_registration"].preset.console
        return console

    @property
    def alice(self) -> str:
        """The subject that the adapter knows the scripted provider's first person by."""
        return "u-alice"

    async def sign_in(self, request: UpstreamRequest | None = None) -> UpstreamIdentity:
        """Go the whole way that a person goes; raises what the adapter raises."""
        request = request or upstream_request()
        params = await self.idp.follow(await self.provider.authorization_url(request))
        return await self.provider.identify(Callback(params=params), request)

    async def refusal(self, request: UpstreamRequest | None = None) -> UpstreamError:
        """Return the error that ends the login, after looking that it says nothing it must not (rules B12, B13)."""
        return judged(await ended(self.sign_in(request)))

    async def refresh(self, identity: UpstreamIdentity) -> UpstreamIdentity:
        """Let the provider vouch again for somebody who signed in; raises what the adapter raises."""
        assert isinstance(self.provider, RefreshesIdentity)
        assert identity.tokens is not None
        return await self.provider.refresh(identity.tokens, identity)

    async def no_refresh(self, identity: UpstreamIdentity) -> UpstreamError:
        """Return the error that a refresh ends with."""
        return judged(await ended(self.refresh(identity)))

    async def is_refused(self, reason: str, fault: Fault = Fault.PROTOCOL) -> None:
        """Assert that the login ends with this reason and fault."""
        error = await self.refusal()
        assert (error.reason, error.fault) == (reason, fault)


async def ended(work: Awaitable[Any]) -> UpstreamError:
    """Return the error that some work ends with."""
    with pytest.raises(UpstreamError) as caught:
        await work
    return caught.value


def judged(error: UpstreamError) -> UpstreamError:
    """Return the error after looking that it says nothing it must not (rules B12, B13)."""
    assert re.fullmatch(r"[a-z_]+", error.reason)
    assert error.__context__ is None or isinstance(error.__context__, UpstreamError | ValueError)
    assert "upstream words" not in repr(error)
    return error


@asynccontextmanager
async def open_case(
    kind: str,
    *,
    idp: dict[str, Any] | None = None,
    shape: Kind | None = None,
    types: Mapping[str, ProviderType] = TYPES,
    script: type[ScriptedIdp] = ScriptedIdp,
    **changes: Any,
) -> AsyncIterator[Case]:
    """Open a case of a provider type; `idp` are arguments of the scripted provider, `changes` of the settings.

    A third party's type brings its `shape` and the `types` that hold it, and a `script` where it is no OpenID provider.
    """
    clock = Clock()
    shape = shape or KINDS[kind]
    scripted = script(**{"issuer": shape.issuer, "now": clock.now, **(idp or {})})
    scripted.people = {
        name: Person(person.sub, {**person.claims, **shape.claims}) for name, person in scripted.people.items()
    }
    settings = scripted.settings(kind, **{"timeout": 2.0, "options": shape.options, **changes})
    observed: list[tuple[str, float]] = []

    def observe(operation: str, seconds: float) -> None:
        observed.append((operation, seconds))

    async with open_http(settings, transport=scripted.transport, observe=observe) as http:
        provider = build(settings, http, clock.now, types)
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
