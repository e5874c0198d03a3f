"""What GitHub's API says about a person, read strictly: one entry that cannot be read makes the whole list unknown. Pure.

People, organisations and teams are known by their numbers, which nobody can take over; logins and slugs are for display and for rules
that an administrator writes, and both are given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from providers.base import Fault, Groups, UpstreamError
from providers.claims import Email, is_address, printable

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # `_` for accounts that an enterprise manages
_SLUG = re.compile(r"[^\s/:\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account: its number, and what it is called now. `public_email` is what the person shows, verified or not."""

    subject: str
    name: str
    public_email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Entries of a list, all of them when `gap` is None; else what is missing, in a word of ours."""

    entries: tuple[Mapping[str, Any], ...]
    gap: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memberships:
    """Where a person belongs. `seen` are the organisations that were listed, even where others were not."""

    seen: frozenset[str]
    organizations: tuple[str, ...] | None
    groups: Groups
    gap: str | None


def read_user(values: Mapping[str, Any]) -> User:
    """Return the account of `GET /user`; raises UpstreamError."""
    number, login = values.get("id"), values.get("login")
    if not _is_id(number) or not isinstance(login, str) or not _LOGIN.fullmatch(login):
        raise UpstreamError(Fault.PROTOCOL, "user_malformed")
    email = values.get("email")
    return User(
        subject=str(number),
        name=printable(values.get("name")) or login,
        public_email=email if is_address(email) else None,
    )


def read_email(user: User, addresses: Sequence[Mapping[str, Any]], *, vouched: bool) -> Email | None:
    """Return the primary address of `GET /user/emails`, verified only where the host verifies; without one, the public address."""
    for entry in addresses:
        address = entry.get("email")
        if entry.get("primary") is True and is_address(address):
            return Email(address, vouched and entry.get("verified") is True)
    return None if user.public_email is None else Email(user.public_email, verified=False)


def read_memberships(organizations: Listing, teams: Listing) -> Memberships:
    """Return where the person belongs: organisations as `login` and `org:<id>`, teams as `login/slug` and `team:<id>`."""
    found = [_organization(entry) for entry in organizations.entries]
    in_teams = [_team(entry) for entry in teams.entries]
    orgs_gap = organizations.gap or ("malformed" if None in found else None)
    gap = orgs_gap or teams.gap or ("malformed" if None in in_teams else None)
    orgs = tuple(dict.fromkeys(name for names in found if names for name in names))
    names = tuple(dict.fromkeys((*orgs, *(name for names in in_teams if names for name in names))))
    return Memberships(
        seen=frozenset(name.lower() for name in orgs),
        organizations=orgs if orgs_gap is None else None,
        groups=Groups.known(names) if gap is None else Groups.unknown(gap),
        gap=orgs_gap,
    )


def _organization(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    number, login = entry.get("id"), entry.get("login")
    if not _is_id(number) or not isinstance(login, str) or not _LOGIN.fullmatch(login):
        return None
    return login, f"org:{number}"


def _team(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    number, slug, owner = entry.get("id"), entry.get("slug"), entry.get("organization")
    organization = _organization(owner) if isinstance(owner, Mapping) else None
    if organization is None or not _is_id(number) or not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        return None
    return f"{organization[0]}/{slug}", f"team:{number}"


def _is_id(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 < value < 1 << 63
