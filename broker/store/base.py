"""The store's verbs. Verbs, not tables: each single-use thing is decided by ONE SQL statement; there is no get-then-delete.

A verb whose change gives or takes something (a client, a session, a grant, a token, a key) takes the audit events of the change and
stores them in the same transaction; once committed, they are handed to the sink that the store was built with. So does one that makes
a person or uses up a login, whoever brought it back (rule A2): what the login led to is an event of its own later, a refusal or a
session, and a process killed in between leaves a login that returned and led to nothing. Three take none, because an auditor
misses nothing: `first_use` uses up a handle, `lease_upstream_session` takes a turn, `reseal_tokens` changes a seal.
Times are seconds; every verb gets `now` as an argument.
Any verb raises `StoreUnavailable` when the database cannot answer; nothing was acknowledged then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from broker.model import AuditEvent, AuthorizationCode, Client, Consent, Events, Grant, PendingLogin, SigningKey
from broker.store.upstream_base import KeepsUpstream

EventSink = Callable[[Events], None]
Observer = Callable[[str, float], None]


class StoreUnavailable(Exception):
    """The database did not answer; the caller answers 503 with Retry-After."""


class StoreLocked(Exception):
    """Another process serves on this SQLite file."""


class SchemaOutdated(Exception):
    """The schema is older than this version needs; the message names the command."""


class StoreMisconfigured(Exception):
    """The database URL or the installation cannot work; the message says what to do."""


UNUSED_FOR = 86400  # seconds after which an unused registration may give way to a new one


class Registration(StrEnum):
    """What became of a registration."""

    SAVED = "saved"
    RATE_LIMITED = "rate_limited"  # this source made too many
    FULL = "full"  # too many unused registrations in all, each younger than a day


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationLimits:
    """`rate` registrations in `window` seconds for each source; `unused` clients without a grant in all.

    When there are as many, the oldest that has been unused for a day gives way.
    """

    rate: int
    window: int
    unused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All keys, and the version that a change must name."""

    version: int
    keys: tuple[SigningKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An audit event with its place in the trail."""

    sequence: int
    event: AuditEvent


class Store(KeepsUpstream, Protocol):
    """Everything the broker keeps."""

    # Life
    async def open(self) -> None:
        """Connect and check the schema (SQLite: lock the file and migrate).

        Raises StoreLocked, SchemaOutdated, StoreMisconfigured, StoreUnavailable.
        """
        ...

    def observe(self, observer: Observer) -> None:
        """Tell `observer` each operation's word (`read`, `change`, `sweep`) and duration in seconds from here on."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then disconnect."""
        ...

    async def check(self) -> None:
        """Ask the database a trivial question within a second; raises StoreUnavailable."""
        ...

    async def clock_offset(self) -> float:
        """Return database time minus this machine's time, in seconds (0.0 for SQLite)."""
        ...

    async def changes(self) -> int:
        """Return a counter that every change to clients, keys and revocations moves: caches follow it.

        A registration does not move it: nobody can hold something outdated about a client that is new.
        """
        ...

    async def purge(self, now: int, *, audit_before: int) -> int:
        """Delete what expired (in small batches) and audit events older than `audit_before`; return how many rows went.

        Registered clients go when `expires_at` passed and no live grant is theirs; a redeemed code stays 24 h, a grant until its
        absolute expiry, revoked or not (its older refresh tokens stay recognisable), or until its code expired unredeemed.
        The newest audit event always stays, so that a sequence number is never given twice.
        """
        ...

    # Clients
    async def find_client(self, client_id: str) -> Client | None:
        """Return a client added by command or registered; configured ones and metadata documents live elsewhere.

        While the row lives the client is good: expiry is the purge's business, which knows whose grants live.
        """
        ...

    async def save_client(self, client: Client, *, events: Events) -> bool:
        """Insert a client of an administrator; False when the id is taken."""
        ...

    async def register_client(
        self, client: Client, *, source: str, limits: RegistrationLimits, now: int, events: Events
    ) -> Registration:
        """Insert a dynamically registered client, within the limits, in one transaction."""
        ...

    async def list_clients(self) -> list[Client]:
        """Return all stored clients, oldest first."""
        ...

    async def remove_client(self, client_id: str, *, now: int, events: Events) -> bool:
        """Delete a client and revoke its grants; False when there is none."""
        ...

    async def block_client(self, client_id: str, *, blocked: bool, events: Events) -> bool:
        """Set or lift a block on any client id, a configured one or a metadata document's URL included."""
        ...

    async def blocked_clients(self) -> frozenset[str]:
        """Return every blocked client id."""
        ...

    # Login
    async def begin_login(self, login: PendingLogin, *, events: Events) -> bool:
        """Save a pending login; a later approval of the same request replaces it. False when that request was finished already."""
        ...

    async def finish_login(self, state_hash: bytes, *, now: int, events: Events) -> PendingLogin | None:
        """Consume the pending login of a state, whoever presents it (rule A2: burned).

        None (and no event) when unknown, used or expired.
        """
        ...

    async def subject_for(
        self, issuer: str, upstream_subject: str, *, namespace: str, candidate: str, now: int, events: Events
    ) -> str:
        """Return our subject for an upstream identity; `candidate` becomes it, and the events are stored, when there is none."""
        ...

    # Sessions and people are `KeepsUpstream`'s.

    # Consent
    async def find_consent(self, key: bytes) -> Consent | None:
        """Return the consent with exactly this key."""
        ...

    async def approved_before(self, subject: str, client_id: str, redirect_uri: str) -> bool:
        """Tell whether this person ever approved this client with this redirect URI (rule C5)."""
        ...

    # Codes and grants
    async def save_code(
        self, code: AuthorizationCode, grant: Grant, consent: Consent, *, now: int, events: Events
    ) -> bool:
        """Save grant, code and consent together. A later approval of the same request replaces the code and keeps the first grant.

        A consent already there stays `remembered` if it was, unless this one says `forget`.
        False when that request's code was redeemed already, or was another
        person's: nobody gets a code for somebody else's grant; and when the grant's upstream session has ended, or was logged out
        since its login began (rule B17).
        """
        ...

    async def find_code(self, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | None:
        """Return a code, redeemed or expired ones included, with its grant, while both rows live."""
        ...

    async def redeem_code(
        self, code_hash: bytes, *, now: int, generation: int, idle_expires_at: int, expires_at: int, events: Events
    ) -> bool:
        """Redeem a live code once and activate its grant with these expiries and refresh generation; exactly one caller gets True.

        False as well when the code expired, has five wrong attempts, or its grant or the upstream session behind it has ended.
        """
        ...

    async def count_wrong_attempt(self, code_hash: bytes, *, events: Events) -> int:
        """Count a wrong verifier against an unredeemed code and return how many there are (five spend it); 0 for any other."""
        ...

    async def find_grant(self, grant_id: str) -> Grant | None:
        """Return a grant, revoked and expired ones included, while its row lives."""
        ...

    async def find_grant_by_handle(self, handle: str) -> Grant | None:
        """Return the grant whose refresh tokens carry this handle."""
        ...

    async def rotate_refresh_token(
        self, handle: str, generation: int, *, now: int, idle_expires_at: int, events: Events
    ) -> bool:
        """Advance the chain from exactly `generation`; exactly one caller gets True. False when revoked, expired or advanced already."""
        ...

    async def repeat_refresh_token(self, handle: str, *, now: int, events: Events) -> bool:
        """Store that a predecessor is answered again, within grace; False (and no event) when its grant has ended meanwhile."""
        ...

    async def revoke_grant(self, grant_id: str, *, now: int, reason: str, events: Events) -> bool:
        """End a grant; False (and no event) when it was revoked already."""
        ...

    async def revoke_token(self, jti: str, *, expires_at: int, events: Events) -> bool:
        """End one access token; False (and no event) when it had been ended already."""
        ...

    async def token_ended(self, jti: str, grant_id: str, *, now: int) -> bool:
        """Tell whether an access token was revoked, its grant is revoked, expired or gone, or its client is blocked."""
        ...

    async def first_use(self, purpose: str, key: str, *, expires_at: int, now: int) -> bool:
        """Consume a key (an assertion's `iss` and `jti`) until `expires_at`; exactly one caller gets True."""
        ...

    # Keys
    async def load_keys(self) -> KeyRing:
        """Return every key and the ring's version."""
        ...

    async def replace_keys(self, version: int, keys: Sequence[SigningKey], *, events: Events) -> bool:
        """Replace the ring if its version is still `version`; exactly one caller gets True."""
        ...

    # Audit
    async def append_events(self, events: Events) -> None:
        """Store events that describe no other change (refusals, denials)."""
        ...

    async def read_events(
        self, *, after: int = 0, limit: int = 100, newest: bool = False, name: str | None = None
    ) -> list[StoredEvent]:
        """Return events in order, after a sequence number; `newest` returns the last `limit` instead."""
        ...
