"""The audit trail: events with fixed names, and the one place that turns them into log lines and metrics.

A store verb takes the events of its change (`store.base` says which have none) and inserts them in the same transaction; after the
commit it hands them to `Audit.emit`. Operational lines that change nothing go through `Audit.log`. `audit_fields` says which fields there
are and what may stand in them; nobody else makes an event or writes a line.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Unpack

from broker.audit_fields import Fields, Scalar, clean, fit, safe
from broker.model import AuditEvent

if TYPE_CHECKING:
    from broker.clock import Clock

request_id: ContextVar[str] = ContextVar("request_id", default="")

_encode_json = json.JSONEncoder(ensure_ascii=True).encode
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Event(StrEnum):
    """Every name that may stand in the audit trail."""

    CLIENT_ADDED = "client.added"
    CLIENT_BLOCKED = "client.blocked"
    CLIENT_REGISTERED = "client.registered"
    CLIENT_REMOVED = "client.removed"
    CLIENT_UNBLOCKED = "client.unblocked"
    CODE_ATTEMPT_FAILED = "code.attempt_failed"
    CODE_ISSUED = "code.issued"
    CODE_REPLAYED = "code.replayed"
    CODE_SOURCE_CHANGED = "code.source_changed"
    CONSENT_DENIED = "consent.denied"
    GRANT_REVOKED = "grant.revoked"
    KEY_CREATED = "key.created"
    KEY_GONE = "key.gone"
    KEY_RETIRED = "key.retired"
    LOGIN_DEBUGGED = "login.debugged"
    LOGIN_FAILED = "login.failed"
    LOGIN_REFUSED = "login.refused"
    LOGIN_RETURNED = "login.returned"
    LOGIN_STARTED = "login.started"
    LOGIN_STEP_UP = "login.step_up"
    POLICY_RELOADED = "policy.reloaded"
    POLICY_RELOAD_REFUSED = "policy.reload_refused"
    SESSION_ENDED = "session.ended"
    SESSION_STARTED = "session.started"
    TOKEN_CANARY = "token.canary"  # noqa: S105 - an event's name, as those below
    TOKEN_ISSUED = "token.issued"  # noqa: S105
    TOKEN_REFRESHED = "token.refreshed"  # noqa: S105
    TOKEN_REFRESH_REFUSED = "token.refresh_refused"  # noqa: S105
    TOKEN_REFRESH_REPEATED = "token.refresh_repeated"  # noqa: S105
    TOKEN_REFRESH_REUSED = "token.refresh_reused"  # noqa: S105
    TOKEN_REFUSED = "token.refused"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    UPSTREAM_ALERT = "upstream.alert"
    UPSTREAM_ENDED = "upstream.ended"
    UPSTREAM_GIVEN_BACK = "upstream.given_back"
    UPSTREAM_LOGOUT = "upstream.logout"
    UPSTREAM_NOT_GIVEN_BACK = "upstream.not_given_back"
    UPSTREAM_RECHECKED = "upstream.rechecked"
    USER_CREATED = "user.created"
    USER_REVOKED = "user.revoked"


def as_line(event: AuditEvent) -> str:
    """Return an event as one line of JSON, whoever wrote it into the store."""
    return _encode_json({k: clean(v) for k, v in _members(event).items()})


def _members(event: AuditEvent) -> dict[str, Scalar]:
    known = {
        "event": event.name,
        "at": event.at,
        "request_id": event.request_id or None,
        "subject": event.subject,
        "client_id": event.client_id,
        "resource": event.resource,
        "grant_id": event.grant_id,
        **event.fields,
    }
    return {k: v for k, v in known.items() if v is not None}


class Audit:
    """Makes events, and hands stored ones to the log and to whoever listens (metrics)."""

    def __init__(
        self, clock: Clock, *, write: Callable[[str], object] | None = None, level: str = "info", text: bool = False
    ) -> None:
        """`write` takes one line without its newline (default: standard output); `text` writes words instead of JSON."""
        self._clock = clock
        self._write = _write_out if write is None else _each(write)
        self._level = LEVELS[level]
        self._text = text
        self._listeners: list[Callable[[AuditEvent], None]] = []

    def listen(self, listener: Callable[[AuditEvent], None]) -> None:
        """Call `listener` with every stored event."""
        self._listeners.append(listener)

    def event(
        self,
        name: Event,
        *,
        subject: str | None = None,
        client_id: str | None = None,
        resource: str | None = None,
        grant_id: str | None = None,
        **fields: Unpack[Fields],
    ) -> AuditEvent:
        """Return an event of this moment and this request; raises TypeError for a field that does not exist."""
        return AuditEvent(
            name=name.value,
            at=self._clock.now(),
            request_id=request_id.get(),
            subject=_text(subject),
            client_id=_text(client_id),
            resource=_text(resource),
            grant_id=_text(grant_id),
            fields=_fitting(fields),
        )

    def emit(self, events: Sequence[AuditEvent]) -> None:
        """Log events that are stored; the store calls this after its commit."""
        # Whatever the level: the trail is not chatter.
        # Clean they are since `event` made them.
        self._write([self._as_configured("info", e.name, _encode_json(_members(e))) for e in events])
        for listener in self._listeners:
            for event in events:
                listener(event)

    def log(self, name: str, level: str = "info", **fields: Unpack[Fields]) -> None:
        """Log something that changes nothing. `name` is fixed text of ours. Raises TypeError as above."""
        if LEVELS[level] >= self._level:
            body: dict[str, Scalar] = {"event": name, "level": level, "at": int(time.time())}
            if asked := request_id.get():
                body["request_id"] = asked
            self._write([self._as_configured(level, name, _encode_json({**body, **_fitting(fields)}))])

    def _as_configured(self, level: str, name: str, line: str) -> str:
        if self._text:
            fields = json.loads(line)
            at = datetime.fromtimestamp(fields.pop("at"), UTC).isoformat()
            pairs = (f"{k}={json.dumps(v)}" for k, v in fields.items() if k not in ("event", "level"))
            line = " ".join([at, level.upper(), name, *pairs])
        return line


def _fitting(fields: Fields) -> dict[str, Scalar]:
    return {name: fit(name, value) for name, value in fields.items() if value is not None}


def _text(value: str | None) -> str | None:
    return None if value is None else str(safe(value))


def _write_out(lines: Sequence[str]) -> None:
    """Write lines to standard output at once: events that were committed together cost one call of the system."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _each(write: Callable[[str], object]) -> Callable[[Sequence[str]], None]:
    def write_each(lines: Sequence[str]) -> None:
        for line in lines:
            write(line)

    return write_each


def place_of(error: BaseException) -> str:
    """Return where an error arose, `file.py:line` of ours or a library's: what it held is nobody's to read (rule G13)."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "unknown"
