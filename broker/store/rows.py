"""Records as rows: the values that statements name, and records from the rows that come back, column by column in the statement's order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from broker.model import (
    AuditEvent,
    AuthorizationCode,
    Client,
    Consent,
    Grant,
    PendingLogin,
)
from broker.store import texts
from broker.store.base import StoredEvent
from broker.store.database import Row, Value

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


def _scopes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def client_values(client: Client) -> dict[str, Value]:
    """Return the values of a client's row."""
    return {
        "client_id": client.client_id,
        "source": client.source.value,
        "record": texts.client_text(client),
        "created_at": client.created_at,
        "expires_at": client.expires_at,
    }


def client_of(row: Row) -> Client:
    """Return a client of record, expiry and block; both may have changed since the record was written."""
    record, expires_at, blocked = row
    return replace(texts.client_of(record), expires_at=expires_at, blocked=bool(blocked))


def login_values(login: PendingLogin) -> dict[str, Value]:
    """Return the values of a pending login's row."""
    return {
        "request_id": login.request_id,
        "state_hash": login.state_hash,
        "cookie_hash": login.cookie_hash,
        "provider": login.provider,
        "nonce": login.nonce,
        "sealed_verifier": login.sealed_verifier,
        "request": texts.request_text(login.request),
        "client": texts.client_text(login.client),
        "remember": int(login.remember),
        "source": login.source,
        "created_at": login.created_at,
        "expires_at": login.expires_at,
    }


def login_of(row: Row) -> PendingLogin:
    """Return the pending login of a row."""
    return PendingLogin(
        request_id=row[0],
        state_hash=row[1],
        cookie_hash=row[2],
        provider=row[3],
        nonce=row[4],
        sealed_verifier=row[5],
        request=texts.request_of(row[6]),
        client=texts.client_of(row[7]),
        remember=bool(row[8]),
        source=row[9],
        created_at=row[10],
        expires_at=row[11],
    )


def consent_values(consent: Consent) -> dict[str, Value]:
    """Return the values of a consent's row."""
    return {
        "key": consent.key,
        "subject": consent.subject,
        "client_id": consent.client_id,
        "redirect_uri": consent.redirect_uri,
        "resource": consent.resource,
        "scopes": " ".join(consent.scopes),
        "created_at": consent.created_at,
        "remembered": int(consent.remembered),
        "forget": int(consent.forget),
    }


def consent_of(row: Row) -> Consent:
    """Return the consent of a row."""
    return Consent(
        key=row[0],
        subject=row[1],
        client_id=row[2],
        redirect_uri=row[3],
        resource=row[4],
        scopes=_scopes(row[5]),
        created_at=row[6],
        remembered=bool(row[7]),
    )


def code_values(code: AuthorizationCode) -> dict[str, Value]:
    """Return the values of an authorization code's row."""
    return {
        "code_hash": code.code_hash,
        "request_id": code.request_id,
        "grant_id": code.grant_id,
        "client_id": code.client_id,
        "redirect_uri": code.redirect_uri,
        "code_challenge": code.code_challenge,
        "resource": code.resource,
        "scopes": " ".join(code.scopes),
        "source": code.source,
        "issued_at": code.issued_at,
        "expires_at": code.expires_at,
    }


def code_of(row: Row) -> AuthorizationCode:
    """Return the authorization code of a row's first thirteen columns."""
    return AuthorizationCode(
        code_hash=row[0],
        request_id=row[1],
        grant_id=row[2],
        client_id=row[3],
        redirect_uri=row[4],
        code_challenge=row[5],
        resource=row[6],
        scopes=_scopes(row[7]),
        source=row[8],
        issued_at=row[9],
        expires_at=row[10],
        redeemed_at=row[11],
        wrong_attempts=row[12],
    )


def grant_values(grant: Grant) -> dict[str, Value]:
    """Return the values of a grant's row."""
    return {
        "grant_id": grant.grant_id,
        "realm_id": grant.realm_id,
        "client_id": grant.client_id,
        "client_snapshot": texts.client_text(grant.client_snapshot),
        "subject": grant.identity.subject,
        "identity": texts.identity_text(grant.identity),
        "session_hash": grant.session_hash,
        "upstream_session_id": grant.upstream_session_id,
        "resource": grant.resource,
        "scopes": " ".join(grant.scopes),
        "handle": grant.handle,
        "generation": grant.generation,
        "mac_key_id": grant.mac_key_id,
        "rotated_at": grant.rotated_at,
        "created_at": grant.created_at,
        "activated_at": grant.activated_at,
        "idle_expires_at": grant.idle_expires_at,
        "expires_at": grant.expires_at,
        "revoked_at": grant.revoked_at,
        "revoked_reason": grant.revoked_reason,
        "auth_method": grant.auth_method,
        "sub_issued": grant.sub_issued,
        "actor": grant.actor,
        "cnf": grant.cnf,
        "authorization_details": grant.authorization_details,
        "status_index": grant.status_index,
    }


def grant_of(row: Row) -> Grant:
    """Return the grant of a row."""
    return Grant(
        grant_id=row[0],
        realm_id=row[1],
        client_id=row[2],
        client_snapshot=texts.client_of(row[3]),
        identity=texts.identity_of(row[5], row[4]),
        session_hash=row[6],
        resource=row[7],
        scopes=_scopes(row[8]),
        handle=row[9],
        generation=row[10],
        mac_key_id=row[11],
        rotated_at=row[12],
        created_at=row[13],
        activated_at=row[14],
        idle_expires_at=row[15],
        expires_at=row[16],
        revoked_at=row[17],
        revoked_reason=row[18],
        auth_method=row[19],
        sub_issued=row[20],
        actor=row[21],
        cnf=row[22],
        authorization_details=row[23],
        status_index=row[24],
        upstream_session_id=row[25],
        checked_at=row[26],
    )


def event_values(event: AuditEvent) -> tuple[Value, ...]:
    """Return the values of an event's row, in the order of EVENT_COLUMNS."""
    return (
        event.at,
        event.name,
        event.request_id,
        event.subject,
        event.client_id,
        event.resource,
        event.grant_id,
        _encode_json(dict(event.fields)),
    )


EVENT_COLUMNS = ("at", "name", "request_id", "subject", "client_id", "resource", "grant_id", "fields")


def events_text(events: Sequence[AuditEvent]) -> str:
    """Return events as one JSON text, for a database that makes rows of it."""
    return json.dumps([dict(zip(EVENT_COLUMNS, event_values(event), strict=True)) for event in events])


def event_of(row: Row) -> StoredEvent:
    """Return the event of a sequence number and EVENT_COLUMNS."""
    return StoredEvent(
        sequence=row[0],
        event=AuditEvent(
            at=row[1],
            name=row[2],
            request_id=row[3],
            subject=row[4],
            client_id=row[5],
            resource=row[6],
            grant_id=row[7],
            fields=json.loads(row[8]),
        ),
    )
