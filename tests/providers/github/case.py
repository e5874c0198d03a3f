"""One GitHub under test: the adapter, the scripted host behind it, and a clock to turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from providers.base import UpstreamError, UpstreamIdentity
from providers.github import GitHubProvider
from providers.http import open_http
from tests.providers.case import Case, Clock
from tests.providers.github.scripted_github import ScriptedGitHub


@dataclass
class GitHubCase(Case):
    """A GitHub and what is around it."""

    idp: ScriptedGitHub  # type: ignore[assignment] # another script, read by the same tests
    provider: GitHubProvider

    @property
    def alice(self) -> str:
        """The number of the scripted host's first account."""
        return "583231"

    async def recheck(self, known: UpstreamIdentity) -> UpstreamIdentity:
        """Ask again about somebody who signed in."""
        assert known.tokens is not None
        return await self.provider.refresh(known.tokens, known)

    async def recheck_fails(self, known: UpstreamIdentity) -> UpstreamError:
        """Return the error that a re-check ends with."""
        with pytest.raises(UpstreamError) as caught:
            await self.recheck(known)
        assert "upstream words" not in repr(caught.value)
        return caught.value


@asynccontextmanager
async def open_github(github: ScriptedGitHub | None = None, **changes: Any) -> AsyncIterator[GitHubCase]:
    """Open a case; `changes` are of the settings."""
    clock = Clock()
    scripted = github or ScriptedGitHub()
    settings = scripted.settings(**{"timeout": 2.0, **changes})
    observed: list[tuple[str, float]] = []

    def observe(operation: str, seconds: float) -> None:
        observed.append((operation, seconds))

    async with open_http(settings, transport=scripted.transport, observe=observe) as http:
        yield GitHubCase("github", scripted, clock, settings, GitHubProvider(settings, http, clock.now), observed)
