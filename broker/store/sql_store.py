"""The store's verbs over a SQL database. What each one promises stands in `base.Store`; what it decides stands in its statement."""

# ruff: noqa: D102, ARG002 - `base.Store` documents the verbs and what they take

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from broker.clock import Clock
from broker.model import (
    AuthorizationCode,
    Client,
    Consent,
    Events,
    Grant,
    Holdings,
    Identity,
    LoggedOut,
    PendingLogin,
    PersonSummary,
    Session,
    SigningKey,
    UpstreamSession,
    digest,
)
from broker.store import rows, statements, texts, upstream_rows
from broker.store import upstream_statements as upstream
from broker.store.base import UNUSED_FOR, KeyRing, Observer, Registration, RegistrationLimits, StoredEvent
from broker.store.database import Change, Database, Outcome, Sweep, Value, Values
from broker.store.observed import ObservedDatabase
from broker.store.upstream_base import LogoutToken

CODE_KEPT = 86_400  # seconds that a redeemed code stays, so that a replay is recognised
IN_FLIGHT = 5  # seconds: no transaction lasts longer, so a gap in the trail that is older stays one
TOMBSTONE_KEPT = 3600  # seconds: longer than any login is on its way
BATCH = 200  # rows that a purge deletes at once


class SqlStore:
    """The verbs, each one statement or one chain of statements."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep the database; `clock` only tells how old the newest events are."""
        self._database: Database = database
        self._clock = clock
        self.open = database.open
        self.close = database.close
        self.check = database.check
        self.clock_offset = database.clock_offset

    def observe(self, observer: Observer) -> None:
        self._database = ObservedDatabase(self._database, observer)

    async def changes(self) -> int:
        return int((await self._database.rows(statements.CHANGES, {}))[0][0])

    async def purge(self, now: int, *, audit_before: int) -> int:
        values = {"now": now, "audit_before": audit_before}
        gone = await self._sweep(upstream.CLOSE_LOGGED_OUT, values)
        for sweep in statements.PURGES:
            gone += await self._sweep(sweep, values)
        await self._sweep(upstream.FORGET_TOKENS, values)
        await self._sweep(upstream.POSTPONE, values)
        gone += await self._sweep(upstream.PURGE, values)
        await self._sweep(statements.POSTPONE_CLIENTS, values)
        gone += await self._sweep(statements.PURGE_CONSENTS, values)
        clients = await self._sweep(statements.PURGE_CLIENTS, values)
        await self._database.sweep(statements.RECOUNT_CLIENTS, {})
        if clients:
            await self._database.sweep(statements.MOVE_CHANGES, {})
        return gone + clients + await self._sweep(statements.PURGE_EVENTS, values)

    # Clients
    async def find_client(self, client_id: str) -> Client | None:
        found = await self._database.rows(statements.FIND_CLIENT, {"client_id": client_id})
        return rows.client_of(found[0]) if found else None

    async def save_client(self, client: Client, *, events: Events) -> bool:
        return await self._done(statements.SAVE_CLIENT, rows.client_values(client), events)

    async def register_client(
        self, client: Client, *, source: str, limits: RegistrationLimits, now: int, events: Events
    ) -> Registration:
        outcome = await self._database.change(
            statements.REGISTER_CLIENT,
            {
                **rows.client_values(client),
                "registering": source,
                "rate": limits.rate,
                "window_ends_at": now + limits.window,
                "unused": limits.unused,
                "idle_since": now - UNUSED_FOR,
                "now": now,
            },
            events,
        )
        return (Registration.RATE_LIMITED, Registration.FULL, Registration.FULL, Registration.SAVED)[outcome.passed]

    async def list_clients(self) -> list[Client]:
        return [rows.client_of(row) for row in await self._database.rows(statements.LIST_CLIENTS, {})]

    async def remove_client(self, client_id: str, *, now: int, events: Events) -> bool:
        return await self._done(statements.REMOVE_CLIENT, {"client_id": client_id, "now": now}, events)

    async def block_client(self, client_id: str, *, blocked: bool, events: Events) -> bool:
        change = statements.BLOCK_CLIENT if blocked else statements.UNBLOCK_CLIENT
        return await self._done(change, {"client_id": client_id}, events)

    async def blocked_clients(self) -> frozenset[str]:
        return frozenset(row[0] for row in await self._database.rows(statements.BLOCKED_CLIENTS, {}))

    # Login
    async def begin_login(self, login: PendingLogin, *, events: Events) -> bool:
        return await self._done(statements.BEGIN_LOGIN, rows.login_values(login), events)

    async def finish_login(self, state_hash: bytes, *, now: int, events: Events) -> PendingLogin | None:
        values: Values = {"state_hash": state_hash, "now": now}
        row = (await self._database.change(statements.FINISH_LOGIN, values, events)).row
        return rows.login_of(row) if row else None

    async def subject_for(
        self, issuer: str, upstream_subject: str, *, namespace: str, candidate: str, now: int, events: Events
    ) -> str:
        key: Values = {"issuer": issuer, "upstream_subject": upstream_subject, "namespace": namespace, "now": now}
        if known := (await self._change(statements.SEE_PERSON, key)).row:
            return str(known[0])
        if await self._done(statements.CREATE_PERSON, {**key, "candidate": candidate}, events):
            return candidate
        return await self.subject_for(  # somebody else was quicker: now there is one
            issuer, upstream_subject, namespace=namespace, candidate=candidate, now=now, events=events
        )

    # Sessions and people
    async def save_session(self, session: Session, *, replaces: bytes | None, now: int, events: Events) -> str | None:
        values = {**upstream_rows.session_values(session), "replaces": replaces}
        row = (await self._database.change(upstream.SAVE_SESSION, values, events)).row
        return str(row[0]) if row else None

    async def find_session(self, session_hash: bytes, *, now: int) -> Session | None:
        found = await self._database.rows(upstream.FIND_SESSION, {"session_hash": session_hash, "now": now})
        return upstream_rows.session_of(found[0]) if found else None

    async def end_session(self, session_hash: bytes, *, now: int, events: Events) -> bool:
        return await self._done(upstream.END_SESSION, {"session_hash": session_hash, "now": now}, events)

    async def find_upstream_session(self, upstream_session_id: str) -> UpstreamSession | None:
        found = await self._database.rows(upstream.FIND, {"upstream_session_id": upstream_session_id})
        return upstream_rows.upstream_of(found[0]) if found else None

    async def lease_upstream_session(
        self, upstream_session_id: str, *, lease: str, now: int, until: int, due: int, skew: int
    ) -> UpstreamSession | None:
        values: Values = {
            "upstream_session_id": upstream_session_id,
            "lease": lease,
            "now": now,
            "until": until,
            "due": due,
            "ahead": now + skew,
            "absurd": until + 10 * skew,
        }
        row = (await self._change(upstream.LEASE, values)).row
        return upstream_rows.upstream_of(row) if row else None

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
        values: Values = {
            "upstream_session_id": session.upstream_session_id,
            "lease": lease,
            "identity": texts.identity_text(session.identity),
            "session_key": upstream_rows.session_key(session.identity),
            "sealed_tokens": session.sealed_tokens,
            "now": now,
            "known_at": known_at,
            "ends_grants": int(ends_grants),
        }
        return await self._done(upstream.RENEW, values, events)

    async def release_upstream_session(
        self, upstream_session_id: str, *, lease: str, sealed_tokens: str | None, events: Events
    ) -> bool:
        values: Values = {"upstream_session_id": upstream_session_id, "lease": lease, "sealed_tokens": sealed_tokens}
        return await self._done(upstream.RELEASE, values, events)

    async def end_upstream_session(
        self, upstream_session_id: str, *, lease: str, now: int, reason: str, events: Events
    ) -> bool:
        values: Values = {"upstream_session_id": upstream_session_id, "lease": lease, "now": now, "reason": reason}
        return await self._done(upstream.END, values, events)

    async def log_out(self, who: LoggedOut, token: LogoutToken, *, ends_grants: bool, now: int, events: Events) -> bool:
        first_key, second_key = upstream_rows.logout_keys(who)
        values: Values = {
            "first_key": first_key,
            "second_key": second_key,
            "key_hash": _use_hash("logout_token", json.dumps([who.issuer, token.jti])),
            "expires_at": token.expires_at,
            "tombstone_until": now + TOMBSTONE_KEPT,
            "now": now,
            "reason": "logout",
        }
        await self._change(upstream.MARK_LOGOUT, values)
        if second_key != first_key:
            await self._change(upstream.MARK_LOGOUT_TOO, values)
        change = upstream.LOG_OUT_GRANTS if ends_grants else upstream.LOG_OUT_SESSIONS
        return await self._done(change, values, events)

    async def end_person(self, subject: str, *, now: int, reason: str, events: Events) -> bool:
        if not await self._database.rows(upstream.FIND_PERSON, {"subject": subject}):
            return False
        mark: Values = {
            "first_key": upstream_rows.person_key(subject),
            "key_hash": b"",  # no token, so none that was used
            "tombstone_until": now + TOMBSTONE_KEPT,
            "now": now,
        }
        await self._change(upstream.MARK_LOGOUT, mark)
        await self._database.change(upstream.END_PERSON, {"subject": subject, "now": now, "reason": reason}, events)
        return True

    async def find_people(self, named: str) -> list[Identity]:
        values: Values = {"named": named, "email": upstream_rows.email_pattern(named)}
        people: dict[str, Identity] = {}
        for identity, subject in await self._database.rows(upstream.FIND_PEOPLE, values):
            people.setdefault(subject, texts.identity_of(identity, subject))
        return [person for person in people.values() if upstream_rows.is_known_as(person, named)]

    async def list_people(self, *, now: int) -> list[PersonSummary]:
        found = await self._database.rows(upstream.LIST_PEOPLE, {"now": now})
        return [person for row in found if (person := upstream_rows.person_of(row)) is not None]

    async def holdings(self, subject: str, *, now: int) -> Holdings:
        values: Values = {"subject": subject, "now": now}
        sessions = await self._database.rows(upstream.SESSIONS_OF, values)
        grants = await self._database.rows(statements.LIVE_GRANTS, values)
        return Holdings(
            sessions=tuple(upstream_rows.session_of(row) for row in sessions),
            grants=tuple(rows.grant_of(row) for row in grants),
        )

    async def sealed_tokens(self, *, after: str, limit: int) -> list[tuple[str, str]]:
        found = await self._database.rows(upstream.SEALED_TOKENS, {"after": after, "limit": limit})
        return [(row[0], row[1]) for row in found]

    async def reseal_tokens(self, upstream_session_id: str, *, sealed: str, resealed: str) -> bool:
        values: Values = {"upstream_session_id": upstream_session_id, "sealed": sealed, "resealed": resealed}
        return await self._done(upstream.RESEAL_TOKENS, values, ())

    # Consent
    async def find_consent(self, key: bytes) -> Consent | None:
        found = await self._database.rows(statements.FIND_CONSENT, {"key": key})
        return rows.consent_of(found[0]) if found else None

    async def approved_before(self, subject: str, client_id: str, redirect_uri: str) -> bool:
        values = {"subject": subject, "client_id": client_id, "redirect_uri": redirect_uri}
        return bool(await self._database.rows(statements.APPROVED_BEFORE, values))

    # Codes and grants
    async def save_code(
        self, code: AuthorizationCode, grant: Grant, consent: Consent, *, now: int, events: Events
    ) -> bool:
        values = {
            **_named("code", rows.code_values(code)),
            **_named("grant", rows.grant_values(grant)),
            **_named("consent", rows.consent_values(consent)),
            "sessions_needed": 0 if grant.session_hash is None else 1,
        }
        return await self._done(statements.SAVE_CODE, values, events)

    async def find_code(self, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | None:
        found = await self._database.rows(statements.FIND_CODE, {"code_hash": code_hash})
        return (rows.code_of(found[0]), rows.grant_of(found[0][13:])) if found else None

    async def redeem_code(
        self, code_hash: bytes, *, now: int, generation: int, idle_expires_at: int, expires_at: int, events: Events
    ) -> bool:
        values: Values = {
            "code_hash": code_hash,
            "now": now,
            "kept_until": now + CODE_KEPT,
            "generation": generation,
            "idle_expires_at": idle_expires_at,
            "expires_at": expires_at,
        }
        return await self._done(statements.REDEEM_CODE, values, events)

    async def count_wrong_attempt(self, code_hash: bytes, *, events: Events) -> int:
        outcome = await self._database.change(statements.COUNT_WRONG_ATTEMPT, {"code_hash": code_hash}, events)
        return int(outcome.row[0]) if outcome.row else 0

    async def find_grant(self, grant_id: str) -> Grant | None:
        found = await self._database.rows(statements.FIND_GRANT, {"grant_id": grant_id})
        return rows.grant_of(found[0]) if found else None

    async def find_grant_by_handle(self, handle: str) -> Grant | None:
        found = await self._database.rows(statements.FIND_GRANT_BY_HANDLE, {"handle": handle})
        return rows.grant_of(found[0]) if found else None

    async def rotate_refresh_token(
        self, handle: str, generation: int, *, now: int, idle_expires_at: int, events: Events
    ) -> bool:
        values: Values = {
            "handle": handle,
            "generation": generation,
            "now": now,
            "idle_expires_at": idle_expires_at,
        }
        return await self._done(statements.ROTATE, values, events)

    async def repeat_refresh_token(self, handle: str, *, now: int, events: Events) -> bool:
        return await self._done(statements.REPEAT, {"handle": handle, "now": now}, events)

    async def revoke_grant(self, grant_id: str, *, now: int, reason: str, events: Events) -> bool:
        values: Values = {"grant_id": grant_id, "now": now, "reason": reason}
        return await self._done(statements.REVOKE_GRANT, values, events)

    async def revoke_token(self, jti: str, *, expires_at: int, events: Events) -> bool:
        return await self._done(statements.REVOKE_TOKEN, {"jti": jti, "expires_at": expires_at}, events)

    async def token_ended(self, jti: str, grant_id: str, *, now: int) -> bool:
        values: Values = {"jti": jti, "grant_id": grant_id, "now": now}
        return bool((await self._database.rows(statements.TOKEN_ENDED, values))[0][0])

    async def first_use(self, purpose: str, key: str, *, expires_at: int, now: int) -> bool:
        values: Values = {"key_hash": _use_hash(purpose, key), "expires_at": expires_at, "now": now}
        return await self._done(statements.FIRST_USE, values, ())

    # Keys
    async def load_keys(self) -> KeyRing:
        version, text = (await self._database.rows(statements.LOAD_KEYS, {}))[0]
        return KeyRing(version=version, keys=texts.keys_of(text))

    async def replace_keys(self, version: int, keys: Sequence[SigningKey], *, events: Events) -> bool:
        return await self._done(statements.REPLACE_KEYS, {"version": version, "keys": texts.keys_text(keys)}, events)

    # Audit
    async def append_events(self, events: Events) -> None:
        if events:
            await self._database.change(statements.APPEND_EVENTS, {}, events)

    async def read_events(
        self, *, after: int = 0, limit: int = 100, newest: bool = False, name: str | None = None
    ) -> list[StoredEvent]:
        values: Values = {"after": after, "limit": limit, "name": name, "young": self._clock.now() - IN_FLIGHT}
        query = statements.READ_NEWEST_EVENTS if newest else statements.READ_EVENTS
        found = [rows.event_of(row) for row in await self._database.rows(query, values)]
        return found[::-1] if newest else found

    async def _done(self, change: Change, values: Values, events: Events) -> bool:
        return (await self._database.change(change, values, events)).passed == len(change.decisions)

    async def _change(self, change: Change, values: Values) -> Outcome:
        return await self._database.change(change, values, ())

    async def _sweep(self, sweep: Sweep, values: Values) -> int:
        total = 0
        while touched := await self._database.sweep(sweep, {**values, "batch": BATCH}):
            total += touched
            if touched < BATCH:
                break
        return total


def _use_hash(purpose: str, key: str) -> bytes:
    return digest(f"{purpose}\0{key}")


def _named(record: str, values: Mapping[str, Value]) -> dict[str, Value]:
    return {f"{record}_{name}": value for name, value in values.items()}
