"""The store's verbs on browser sessions, the upstream sessions behind them, and people; `base` says what holds for every verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from broker.model import (
    Events,
    Holdings,
    Identity,
    LoggedOut,
    PersonSummary,
    Session,
    UpstreamSession,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutToken:
    """A logout token that counts once: the hash of its issuer and `jti`, and until when (seconds) it could be accepted again."""

    jti: str
    expires_at: int


class KeepsUpstream(Protocol):
    """Who is signed in, by what, and until when."""

    async def save_session(self, session: Session, *, replaces: bytes | None, now: int, events: Events) -> str | None:
        """Save a session and its upstream session, and return the latter's id; the session that it replaces (same browser) ends with it.

        A person's shared upstream session that lives takes the new one's tokens and keeps its id. None, and nothing is saved, when
        a logout event for it came since its login began (rule B17), or the person was ended since.
        """
        ...

    async def find_session(self, session_hash: bytes, *, now: int) -> Session | None:
        """Return a live session."""
        ...

    async def end_session(self, session_hash: bytes, *, now: int, events: Events) -> bool:
        """End a session; its grants stay. Upstream tokens that no grant needs are forgotten. False (and no event) when there is none."""
        ...

    async def find_upstream_session(self, upstream_session_id: str) -> UpstreamSession | None:
        """Return an upstream session, an ended one included, while its row lives."""
        ...

    async def lease_upstream_session(
        self, upstream_session_id: str, *, lease: str, now: int, until: int, due: int, skew: int
    ) -> UpstreamSession | None:
        """Take the right to ask the provider again; exactly one caller gets the session (rule B14).

        None when it was checked after `due`, somebody else holds a lease that has not run out, or it ended. Clocks of two replicas may
        differ by `skew` seconds; what lies further in the future than that (a clock set back) counts for nothing.
        """
        ...

    async def renew_upstream_session(
        self,
        session: UpstreamSession,
        *,
        lease: str,
        now: int,
        known_at: int,
        events: Events,
        ends_grants: bool = True,
    ) -> bool:
        """Store what the provider said, checked now, and give the lease back. False when the lease is another's, or it ended.

        False as well, and the lease is kept, when the answer names a `sid` that was logged out since the login began (rule B17);
        unless a logout leaves grants alone (`ends_grants`): browser sessions are dead by that tombstone then, and nothing else is.
        """
        ...

    async def release_upstream_session(
        self, upstream_session_id: str, *, lease: str, sealed_tokens: str | None, events: Events
    ) -> bool:
        """Give the lease back without an answer; tokens that are not None replace the old ones. False as above."""
        ...

    async def end_upstream_session(
        self, upstream_session_id: str, *, lease: str, now: int, reason: str, events: Events
    ) -> bool:
        """End it, and with it every session and grant that names it; its tokens are forgotten. False as above."""
        ...

    async def log_out(self, who: LoggedOut, token: LogoutToken, *, ends_grants: bool, now: int, events: Events) -> bool:
        """End the browser sessions that a logout event means and, if told so, the upstream sessions with all their grants.

        A login that began before, and whose code is not saved yet, will not finish (rule B17). False, and nothing changes, when
        the token was used before (rule B15).
        """
        ...

    async def end_person(self, subject: str, *, now: int, reason: str, events: Events) -> bool:
        """End everything that a person of ours holds, logins on their way included; False when nobody has this subject.

        Nothing of another person ends, though an issuer may know both as one (`IDENTITY_NAMESPACE`).
        """
        ...

    async def find_people(self, named: str) -> list[Identity]:
        """Return who is meant by our subject, an upstream subject or an e-mail address (whatever its case), verified or not.

        Each person once, as the newest session or grant knows them, the newest first.
        """
        ...

    async def list_people(self, *, now: int) -> list[PersonSummary]:
        """Return everybody who left a session or a grant, the latest sign-in first."""
        ...

    async def holdings(self, subject: str, *, now: int) -> Holdings:
        """Return what somebody holds that lives."""
        ...

    async def sealed_tokens(self, *, after: str, limit: int) -> list[tuple[str, str]]:
        """Return ids, in order after `after`, and sealed upstream tokens."""
        ...

    async def reseal_tokens(self, upstream_session_id: str, *, sealed: str, resealed: str) -> bool:
        """Replace one seal by another; False when the tokens are others by now."""
        ...
