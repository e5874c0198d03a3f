"""Where groups come from when no claim holds them: a directory that the adapter asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from providers.base import Check, Groups
from providers.claims import VerifiedClaims


class GroupSource(Protocol):
    """A directory, configured for one provider."""

    async def groups(self, sources: Sequence[VerifiedClaims], access_token: str) -> Groups:
        """Return a person's groups, `sources` being what is known of them; unknown with a reason on any failure, raising nothing."""
        ...

    async def check(self) -> tuple[Check, ...]:
        """Return whether the directory can be asked, without a person."""
        ...
