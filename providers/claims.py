"""What verified claims say about a person: groups that may be unknown, roles, e-mail by rule B10, names fit for a page. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from providers.base import Groups

MAX_NAME = 200  # characters
_MAX_EMAIL = 254  # characters, RFC 5321 section 4.5.3.1
_MAX_WORD = 1024  # characters: a group, a role, an acr

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifiedClaims:
    """Claims of an ID token after every check, or of UserInfo after its subject was compared. Made nowhere else."""

    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Email:
    """An address for display and for rules that ask whether it is verified; never an identity."""

    address: str
    verified: bool


def parse_path(text: str) -> Path:
    """Return a claim path: a JSON list of names, or names with dots between; a URL is one name. Raises ValueError."""
    names = json.loads(text) if text.startswith("[") else [text] if "://" in text else text.split(".")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("not a claim path")
    return tuple(names)


def at(claims: VerifiedClaims, path: Path) -> Any:
    """Return the value at `path`; None when it is absent or null."""
    value: Any = claims.values
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def groups(sources: Sequence[VerifiedClaims], path: Path, *, absent: str = "claim_absent") -> Groups:
    """Return the groups of the first source that has the claim: complete, empty, or unknown with a reason."""
    for claims in sources:
        value = at(claims, path)
        if value is not None:
            names = words(value)
            return Groups.unknown("claim_malformed") if names is None else Groups.known(names)
    return Groups.unknown(absent)


def roles(sources: Sequence[VerifiedClaims], paths: Sequence[Path]) -> tuple[str, ...] | None:
    """Return the union of the roles at all `paths`; None (unknown) when none is there or one cannot be read."""
    found: list[str] = []
    known = False
    for path in paths:
        value = next((value for claims in sources if (value := at(claims, path)) is not None), None)
        if value is None:
            continue
        names = words(value)
        if names is None:
            return None
        known = True
        found.extend(names)
    return tuple(dict.fromkeys(found)) if known else None


def email(sources: Sequence[VerifiedClaims]) -> Email | None:
    """Return the address with what the SAME source says of it (security rule B10); one that is silent yields to one that is not."""
    stated = [claims for claims in sources if claims.values.get("email_verified") is not None]
    for claims in (*stated, *sources):
        address = claims.values.get("email")
        if is_address(address):
            return Email(address, _is_true(claims.values.get("email_verified")))
    return None


def display_name(sources: Sequence[VerifiedClaims]) -> str | None:
    """Return a name for pages: `name`, else `preferred_username`, without what cannot be printed, truncated."""
    for claim in ("name", "preferred_username"):
        for claims in sources:
            shown = printable(claims.values.get(claim))
            if shown is not None:
                return shown
    return None


def printable(value: Any) -> str | None:
    """Return a text fit for a page, truncated; None when nothing of it can be printed."""
    shown = "".join(c for c in value if c.isprintable()).strip() if isinstance(value, str) else ""
    return shown[:MAX_NAME] or None


def acr(claims: VerifiedClaims) -> str | None:
    """Return the authentication context class (Core section 2), None when unknown."""
    value = claims.values.get("acr")
    return value if is_word(value) else None


def amr(claims: VerifiedClaims) -> tuple[str, ...] | None:
    """Return the authentication methods (RFC 8176 section 1), None when unknown."""
    value = claims.values.get("amr")
    return None if value is None else words(value)


def sid(claims: VerifiedClaims) -> str | None:
    """Return the upstream session id, by which a logout event finds this login."""
    value = claims.values.get("sid")
    return value if is_word(value) else None


def words(value: Any) -> tuple[str, ...] | None:
    """Return a list of words without repeats; a text is a list of one, unless it looks like a list itself. None: unreadable."""
    if isinstance(value, str):
        value = [value] if value and value[0] not in "[{" and not set(",;") & set(value) else None
    if not isinstance(value, list) or not all(is_word(word) for word in value):
        return None
    return tuple(dict.fromkeys(value))


def is_word(value: Any) -> TypeGuard[str]:
    """Whether a value can be a name: a group, a role, a session id. Printable, neither empty nor long."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_WORD and value.isprintable()


def is_address(value: Any) -> TypeGuard[str]:
    """Whether a value looks like an e-mail address (RFC 5321 section 4.1.2); no more than that is asked of it."""
    if not isinstance(value, str) or len(value) > _MAX_EMAIL or not value.isprintable() or " " in value:
        return False
    local, _, domain = value.partition("@")
    return bool(local and domain) and "@" not in domain


def _is_true(value: Any) -> bool:
    return value is True or value == "true"
