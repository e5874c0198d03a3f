"""A secret that does not print. Where it may come from (value, file, keyring, environment) follows below."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret value; `repr` and `str` are ***."""

    _value: str

    def reveal(self) -> str:
        """Return the value itself: for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        """Return three stars."""
        return "***"

    __str__ = __repr__
