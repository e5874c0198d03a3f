"""The configured identity providers, with what is ours about each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.settings import ProviderConfig, Settings
from providers.base import EndsSession, Fault, Provider, RefreshesIdentity, RevokesTokens, UpstreamError, VerifiesLogout

PATIENCE = 9.5  # seconds for everything that one request asks of a provider: whoever waits has an answer within ten


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Bound what is asked of a provider in the block by PATIENCE, however many calls it is; raises UpstreamError(TRANSIENT)."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        raise UpstreamError(Fault.TRANSIENT, "timeout") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderButton:
    """One way to sign in, as pages show it."""

    id: str
    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """The configured providers, by id."""

    providers: Mapping[str, Provider]
    settings: Settings

    def config(self, provider: str) -> ProviderConfig | None:
        """Return a provider's settings, None where it is not configured any more."""
        for one in self.settings.providers:  # a handful; a generator would cost more than the look
            if one.id == provider:
                return one
        return None

    def callback(self, provider: str) -> str:
        """Return the redirect URI registered at that provider: one path each (rule B1)."""
        return self.settings.url(f"/callback/{provider}")

    def refresher(self, provider: str) -> RefreshesIdentity | None:
        """Return the provider if it can vouch for somebody again without them; None where it cannot."""
        adapter = self.providers.get(provider)
        return adapter if isinstance(adapter, RefreshesIdentity) else None

    def logout_verifier(self, provider: str) -> VerifiesLogout | None:
        """Return the provider if it sends logout tokens; None where it does not, or is unknown."""
        adapter = self.providers.get(provider)
        return adapter if isinstance(adapter, VerifiesLogout) else None

    def returner(self, provider: str) -> RevokesTokens | None:
        """Return the provider if a person's tokens can be given back to it alone; None where it takes none back, or is unknown.

        None as well where another entry is the same client of the same issuer: to that one its people are the same grants.
        """
        adapter = self.providers.get(provider)
        clients = {p.id: (p.adapter.issuer, p.adapter.client_id) for p in self.settings.providers}
        alone = [id_ for id_, client in clients.items() if client == clients.get(provider)] == [provider]
        return adapter if alone and isinstance(adapter, RevokesTokens) else None

    async def logout_url(self, provider: str, *, return_to: str) -> str | None:
        """Return where a browser can end its session at the provider (RP-Initiated Logout); None where there is no such place, or now.

        Without a hint of the ID token: no upstream token is in any answer (rule B13), and the provider asks the person.
        """
        adapter = self.providers.get(provider)
        ender = adapter if isinstance(adapter, EndsSession) else None
        try:
            async with in_time():
                return None if ender is None else await ender.logout_url(None, return_to=return_to)
        except UpstreamError:
            return None

    def states_age(self, provider: str) -> bool:
        """Tell whether a provider can be asked how old a sign-in may be; from any other, `max_age` would only bring a failure."""
        config = self.config(provider)
        return config is not None and "auth_time" in config.gives

    def buttons(self) -> tuple[ProviderButton, ...]:
        """Return the ways to sign in, as the consent page shows them."""
        return tuple(
            ProviderButton(id=p.id, name=p.adapter.display_name, scopes=self.providers[p.id].scopes)
            for p in self.settings.providers
        )
