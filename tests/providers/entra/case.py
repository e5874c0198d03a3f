"""One Entra under test: the adapter, the scripted service behind it, and a clock to turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from providers.base import UpstreamError, UpstreamIdentity
from providers.entra import EntraProvider
from providers.http import open_http
from tests.providers.case import Case, Clock, ended, judged
from tests.providers.entra.scripted_entra import ALICE, CONTOSO, ScriptedEntra


@dataclass
class EntraCase(Case):
    """An Entra and what is around it."""

    idp: ScriptedEntra
    provider: EntraProvider

    @property
    def alice(self) -> str:
        """Tenant and object id."""
        return f"{CONTOSO}:{ALICE}"

    async def as_(self, name: str) -> UpstreamIdentity:
        """Sign somebody in."""
        self.idp.sign_in_as = name
        return await self.sign_in()

    async def refused_as(self, name: str) -> UpstreamError:
        """Return the error that somebody's login ends with."""
        self.idp.sign_in_as = name
        return judged(await ended(self.sign_in()))


@asynccontextmanager
async def open_entra(
    tenant: str = CONTOSO, *, idp: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[EntraCase]:
    """Open a case; `idp` are arguments of the scripted service, `changes` of the settings."""
    clock = Clock()
    scripted = ScriptedEntra(tenant, now=clock.now, **(idp or {}))
    settings = scripted.settings(**{"timeout": 2.0, **changes})
    observed: list[tuple[str, float]] = []

    def observe(operation: str, seconds: float) -> None:
        observed.append((operation, seconds))

    async with open_http(settings, transport=scripted.transport, observe=observe) as http:
        yield EntraCase("entra", scripted, clock, settings, EntraProvider(settings, http, clock.now), observed)
