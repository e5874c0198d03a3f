"""What the store's tests share: several stores on one database, a clock that stands, records, and sixteen callers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from broker.model import (
    AuditEvent,
    AuthorizationRequest,
    Client,
    ClientSource,
    Consent,
    PendingLogin,
    Session,
    UpstreamSession,
)
from broker.store.base import RegistrationLimits, Store, StoreUnavailable
from broker.store.open import open_store
from tests.broker.records import NOW, REDIRECT_URI, make_client, make_code, make_grant, make_identity

T = TypeVar("T")
RACERS = 16
GENEROUS = RegistrationLimits(rate=1000, window=3600, unused=1000)


class StandingClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return float(self.time)

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)


class Keeper:
    """Opens stores on one database, as several processes would, and closes what a test leaves open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = StandingClock()
        self.emitted: list[AuditEvent] = []
        self._stores: list[Store] = []

    async def open(self, *, serving: bool = False) -> Store:
        store = open_store(self.url, sink=self.emitted.extend, clock=self.clock, serving=serving)
        await store.open()
        self._stores.append(store)
        return store

    async def close(self) -> None:
        for store in self._stores:
            with suppress(StoreUnavailable):
                await store.close()


def unheard(_: Sequence[AuditEvent]) -> None:
    """A sink for tests that do not look at it."""


def event(name: str = "token.refreshed", **fields: Any) -> tuple[AuditEvent, ...]:
    return (AuditEvent(name=name, at=NOW, request_id="req", subject="u_alice", fields=fields),)


async def race(act: Callable[[int], Awaitable[T]], racers: int = RACERS) -> list[T]:
    return list(await asyncio.gather(*(act(n) for n in range(racers))))


async def stored(store: Store) -> list[str]:
    return [found.event.name for found in await store.read_events(limit=10_000)]


def make_login(**changes: Any) -> PendingLogin:
    fields: dict[str, Any] = {
        "request_id": "request-1",
        "state_hash": b"s" * 32,
        "cookie_hash": b"k" * 32,
        "provider": "corp",
        "nonce": "nonce-1",
        "sealed_verifier": "sealed",
        "request": AuthorizationRequest(
            client_id="client-1",
            redirect_uri=REDIRECT_URI,
            resource="https://files.example.com/mcp",
            scopes=("files:read",),
            code_challenge="c" * 43,
            state="a b&c",
            prompt=("login",),
            login_hint="alice",
            max_age=0,
            acr_values=("mfa",),
        ),
        "client": make_client(),
        "remember": False,
        "source": "192.0.2.1",
        "created_at": NOW,
        "expires_at": NOW + 600,
    }
    return PendingLogin(**fields | changes)


def make_upstream(**changes: Any) -> UpstreamSession:
    fields: dict[str, Any] = {
        "upstream_session_id": "us-1",
        "identity": make_identity(),
        "sealed_tokens": "sealed-1",
        "began_at": NOW - 10,
        "checked_at": NOW,
        "known_at": NOW,
        "expires_at": NOW + 3600,
    }
    return UpstreamSession(**fields | changes)


def make_session(*, session_hash: bytes = b"b" * 32, expires_at: int = NOW + 3600, **upstream: Any) -> Session:
    """Return a session; an upstream session is its own unless `upstream_session_id` says otherwise."""
    fields = {"upstream_session_id": f"us-{session_hash.hex()}", "expires_at": expires_at, **upstream}
    return Session(session_hash=session_hash, upstream=make_upstream(**fields), created_at=NOW, expires_at=expires_at)


def make_consent(**changes: Any) -> Consent:
    fields: dict[str, Any] = {
        "key": b"y" * 32,
        "subject": "u_alice",
        "client_id": "client-1",
        "redirect_uri": REDIRECT_URI,
        "resource": "https://files.example.com/mcp",
        "scopes": ("files:read", "files:write"),
        "created_at": NOW,
        "remembered": False,
    }
    return Consent(**fields | changes)


def make_registered(name: str, **changes: Any) -> Client:
    return make_client(client_id=name, source=ClientSource.REGISTERED, expires_at=NOW + 1000, **changes)


async def give_code(store: Store, name: str = "1", *, events: Sequence[AuditEvent] = (), **changes: Any) -> bytes:
    """Save a code, its grant and its consent, all named after `name`; return the code's hash."""
    client_id = changes.pop("client_id", "client-1")
    code_hash = name.encode().ljust(32, b"c")
    code = make_code(code_hash=code_hash, request_id=f"request-{name}", grant_id=f"grant-{name}", client_id=client_id)
    grant = make_grant(grant_id=f"grant-{name}", handle=f"handle-{name}", client_id=client_id, **changes)
    consent = make_consent(key=name.encode().ljust(32, b"y"), client_id=client_id)
    assert await store.save_code(code, grant, consent, now=NOW, events=events)
    return code_hash


async def give_grant(
    store: Store, name: str = "1", *, idle_expires_at: int = NOW + 600, expires_at: int = NOW + 6000, **changes: Any
) -> str:
    """Save a code and redeem it; return the grant's handle."""
    code_hash = await give_code(store, name, **changes)
    assert await redeem(store, code_hash, idle_expires_at=idle_expires_at, expires_at=expires_at)
    return f"handle-{name}"


async def redeem(store: Store, code_hash: bytes, **changes: Any) -> bool:
    values: dict[str, Any] = {
        "now": NOW,
        "generation": 1,
        "idle_expires_at": NOW + 600,
        "expires_at": NOW + 6000,
        "events": (),
    }
    return await store.redeem_code(code_hash, **values | changes)
