"""What the development identity provider remembers: in this process only, bounded, and each thing for its own time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from broker.clock import Clock

T = TypeVar("T")
MOST = 10_000  # entries of a kind; the oldest goes first


class Memory(Generic[T]):
    """Values by key, each until its own time."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._values: dict[str, tuple[int, T]] = {}

    def put(self, key: str, value: T, *, ttl: int) -> None:
        """Keep a value for `ttl` seconds."""
        self._values.pop(key, None)
        while len(self._values) >= MOST:
            del self._values[next(iter(self._values))]
        self._values[key] = (self._clock.now() + ttl, value)

    def get(self, key: str | None) -> T | None:
        """Return a value that is still alive."""
        expires_at, value = self._values.get(key or "", (0, None))
        return value if expires_at > self._clock.now() else None

    def take(self, key: str | None) -> T | None:
        """Return a value that is still alive, and forget it: for what may be used once."""
        value = self.get(key)
        self._values.pop(key or "", None)
        return value

    def alive(self) -> dict[str, T]:
        """Return everything that is still alive."""
        now = self._clock.now()
        return {key: value for key, (expires_at, value) in self._values.items() if expires_at > now}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingParty:
    """A client of the identity provider: the broker."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A browser's session: who, since when, how, and for which clients tokens were made. `acr` and `amr` as in the ID token."""

    sid: str
    person_id: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    clients: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRequest:
    """A checked request to /authorize (OpenID Connect Core section 3.1.2.1). `max_age` in seconds."""

    client: RelyingParty
    redirect_uri: str
    scope: tuple[str, ...]
    code_challenge: str
    state: str | None
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str | None
    acr_values: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Chain:
    """What one code gives: its refresh tokens, of which only the newest is good."""

    request: AuthenticationRequest
    login: Login
    newest: str | None = None
    redeemed: bool = False
    revoked: bool = False


class State:
    """Everything remembered. Codes and tokens are kept under themselves: a development server has nobody to hide them from."""

    def __init__(self, clock: Clock) -> None:
        """Start with nobody signed in."""
        self.transactions: Memory[AuthenticationRequest] = Memory(clock)
        self.logins: Memory[Login] = Memory(clock)  # by cookie
        self.codes: Memory[Chain] = Memory(clock)
        self.refresh_tokens: Memory[Chain] = Memory(clock)  # older ones too: reuse is recognised
        self.access_tokens: Memory[Chain] = Memory(clock)

    def signed_in(self, sid: str) -> bool:
        """Whether a login is still alive."""
        return any(login.sid == sid for login in self.logins.alive().values())
