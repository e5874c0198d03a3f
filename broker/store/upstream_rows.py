"""Browser and upstream sessions as rows, and the keys by which a logout event finds them."""

from __future__ import annotations

import json

from broker.model import Identity, LoggedOut, PersonSummary, Session, UpstreamSession, digest
from broker.store import texts
from broker.store.database import Row, Value


def _key(kind: str, issuer: str, name: str) -> bytes:
    return digest(json.dumps([kind, issuer, name]))


def subject_key(identity: Identity) -> bytes:
    """Return the key of everything that a person has through an issuer."""
    return _key("subject", identity.upstream_issuer, identity.upstream_subject)


def session_key(identity: Identity) -> bytes:
    """Return the key of the session there; of the person's sessions of unknown `sid` where it named none."""
    if identity.upstream_sid is None:
        return _key("no sid", identity.upstream_issuer, identity.upstream_subject)
    return _key("sid", identity.upstream_issuer, identity.upstream_sid)


def person_key(subject: str) -> bytes:
    """Return the key of a person of ours: two of them may be one at the issuer, kept apart by IDENTITY_NAMESPACE."""
    return digest(json.dumps(["person", subject]))


def logout_keys(who: LoggedOut) -> tuple[bytes, bytes]:
    """Return the keys that a logout event ends, perhaps twice the same: a session and those of the subject without a `sid`, or all."""
    if who.sid is None:
        key = _key("subject", who.issuer, who.subject or "")
        return key, key
    key = _key("sid", who.issuer, who.sid)
    return key, key if who.subject is None else _key("no sid", who.issuer, who.subject)


def session_values(session: Session) -> dict[str, Value]:
    """Return the values of both rows of a new session."""
    upstream = session.upstream
    return {
        "session_hash": session.session_hash,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "upstream_session_id": upstream.upstream_session_id,
        "subject": upstream.identity.subject,
        "shared_key": _shared_key(upstream.identity) if upstream.shared else None,
        "person_key": person_key(upstream.identity.subject),
        "subject_key": subject_key(upstream.identity),
        "session_key": session_key(upstream.identity),
        "identity": texts.identity_text(upstream.identity),
        "sealed_tokens": upstream.sealed_tokens,
        "began_at": upstream.began_at,
        "checked_at": upstream.checked_at,
        "known_at": upstream.known_at,
        "upstream_expires_at": upstream.expires_at,
    }


def _shared_key(identity: Identity) -> str:
    return f"{identity.provider} {identity.subject}"


def session_of(row: Row) -> Session:
    """Return the session of a row: its own three columns, then the upstream session's."""
    return Session(session_hash=row[0], created_at=row[1], expires_at=row[2], upstream=upstream_of(row[3:]))


def upstream_of(row: Row) -> UpstreamSession:
    """Return the upstream session of a row of `upstream_statements.COLUMNS`."""
    return UpstreamSession(
        upstream_session_id=row[0],
        identity=texts.identity_of(row[2], row[1]),
        sealed_tokens=row[3],
        began_at=row[4],
        checked_at=row[5],
        known_at=row[6],
        expires_at=row[7],
        shared=row[8] is not None,
        ended_at=row[9],
        ended_reason=row[10],
    )


def person_of(row: Row) -> PersonSummary | None:
    """Return somebody of subject, last sign-in, identity and two counts; None for who left nothing but the subject."""
    subject, seen_at, identity, sessions, grants = row
    if identity is None:
        return None
    return PersonSummary(
        identity=texts.identity_of(identity, subject), seen_at=seen_at, sessions=sessions, grants=grants
    )


def email_pattern(address: str) -> str:
    """Return a LIKE pattern (escape `!`) for the lower-case text of an identity with this address, whatever its case.

    A letter beyond ASCII stands in that text as an escape, whose case SQL cannot change: it may be anything, and `is_known_as` decides.
    """
    member = "".join(_written(character) if character.isascii() else "%" for character in address)
    return f'%"email":"{member}"%'


def _written(character: str) -> str:
    """Return an ASCII character as JSON has it, in lower case, with what LIKE would take for a pattern escaped."""
    written = json.dumps(character)[1:-1].lower()
    return f"!{written}" if written in ("!", "%", "_") else written


def is_known_as(identity: Identity, named: str) -> bool:
    """Tell whether this is who is meant by our subject, the upstream subject or an e-mail address."""
    email = identity.email or ""
    return named in (identity.subject, identity.upstream_subject) or email.lower() == named.lower()
