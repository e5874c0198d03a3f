"""A company: its identity provider, who works there, and what its administrator does about them."""

from __future__ import annotations

from typing import Protocol

from tests.e2e.browserless import Browserless
from tests.e2e.identity_providers import IdentityProvider


class Company(Protocol):
    """One whose provider knows the broker, and sends it logout tokens."""

    @property
    def idp(self) -> IdentityProvider:
        """The identity provider by the broker's client."""
        ...

    def hire(self) -> str:
        """Return the name of a new person, who signs in with it and has nothing to do with other tests."""
        ...

    def disable(self, person: str) -> None:
        """Let somebody go."""
        ...

    def sign_out(self, browser: Browserless, person: str) -> None:
        """End somebody's sessions at the provider; `browser` is the person's own."""
        ...
