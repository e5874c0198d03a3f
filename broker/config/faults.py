"""What is wrong with the settings: every fault at once, each with its place and its mend, never with a secret's value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class Wrong(ValueError):
    """A value that cannot be used: `wrong` says why, `mend` what to write instead. Neither ever quotes a secret."""

    def __init__(self, wrong: str, mend: str) -> None:
        """Keep both."""
        super().__init__(wrong)
        self.wrong = wrong
        self.mend = mend


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `setting` as it was written, `origin` where; an empty origin: nowhere, it is missing."""

    setting: str
    origin: str
    wrong: str
    mend: str

    def __str__(self) -> str:
        """Return two lines for a reader."""
        place = f" ({self.origin})" if self.origin else ""
        return f"{self.setting}{place}: {self.wrong}\n    -> {self.mend}"


class SettingsError(Exception):
    """The settings cannot be used; the message lists every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keep the faults, each once."""
        self.faults = tuple(dict.fromkeys(faults))
        count = "One setting is wrong" if len(self.faults) == 1 else f"{len(self.faults)} settings are wrong"
        super().__init__(f"{count}:\n\n" + "\n".join(f"  {fault}" for fault in self.faults))


class Faults:
    """Collects faults while the settings are read."""

    def __init__(self) -> None:
        """Start with none."""
        self.found: list[Fault] = []
        self.unsafe: list[Fault] = []  # faults only where the issuer is not loopback (rule G16)
        self.warnings: list[str] = []

    def add(self, setting: str, origin: str, wrong: str, mend: str) -> None:
        """Note a fault."""
        self.found.append(Fault(setting=setting, origin=origin, wrong=wrong, mend=mend))

    def add_unsafe(self, setting: str, origin: str, wrong: str, mend: str) -> None:
        """Note what a production issuer must not start with."""
        self.unsafe.append(Fault(setting=setting, origin=origin, wrong=wrong, mend=mend))

    def missing(self, setting: str, mend: str) -> None:
        """Note a setting that has to be there."""
        self.add(setting, "", "is missing", mend)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a mistyped name most likely means, or None."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return close[0] if close else None


def quoted(text: str) -> str:
    """Return the start of a value that is no secret, safe to print."""
    shown = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line's worth
    return '"' + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown) + '"'
