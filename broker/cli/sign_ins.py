"""As whom somebody is judged: each of a person's live sign-ins has groups, `acr` and age of its own, and an app's grant hangs on one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from broker.model import Grant, Holdings, Identity, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """One way in which a person is known. `grants` are those of the app and server asked about that hang on it, the newest first.

    `since` and `checked_at` are None where nothing lives any more: then the person is as last described.
    """

    identity: Identity
    since: int | None = None  # seconds; the oldest session or grant that hangs on it
    checked_at: int | None = None  # seconds; when the provider last vouched for the person
    grants: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """Whether a session or a grant hangs on it."""
        return self.since is not None


def sign_ins(
    last_known: Identity, held: Holdings, *, client_id: str, resource: str, provider: str | None
) -> list[SignIn]:
    """Return a person's live sign-ins: first those that a grant of this app on this server hangs on, then the newest first.

    Where none lives, the person as last known. `provider`: only those through it, where there are some.
    """
    found: dict[str, SignIn] = {}
    for key, one in _each(held, client_id, resource):
        before = found.get(key)
        since = (one.since or 0) if before is None else min(before.since or 0, one.since or 0)
        found[key] = replace(one, since=since, grants=(*one.grants, *(before.grants if before else ())))
    through = [one for one in found.values() if one.identity.provider == provider] or list(found.values())
    through.sort(key=lambda one: (bool(one.grants), one.since), reverse=True)
    return through or [SignIn(identity=last_known)]


def _each(held: Holdings, client_id: str, resource: str) -> Iterator[tuple[str, SignIn]]:
    """Yield what hangs on a sign-in, with the sign-in's key, the oldest first."""
    for one in held.sessions:
        yield _of_session(one)
    for grant in held.grants:
        asked_about = grant.client_id == client_id and grant.resource == resource
        key = grant.upstream_session_id or f"grant {grant.grant_id}"  # without one, the grant itself keeps the person
        yield key, _of_grant(grant, (grant.grant_id,) if asked_about else ())


def _of_session(session: Session) -> tuple[str, SignIn]:
    tie = session.upstream
    return tie.upstream_session_id, SignIn(identity=tie.identity, since=session.created_at, checked_at=tie.checked_at)


def _of_grant(grant: Grant, grants: tuple[str, ...]) -> SignIn:
    return SignIn(identity=grant.identity, since=grant.created_at, checked_at=grant.checked_at, grants=grants)
