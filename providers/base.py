"""What an identity provider adapter is: two methods, optional capabilities, and the values that pass between it and the broker.

`identify` redeems the upstream code AND verifies everything that comes back, in one call, so that no caller can skip a check.
This module imports nothing of ours. Third parties register a `ProviderType` under the entry point group `mcp_broker.providers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from providers.http import UpstreamHttp


class Fault(StrEnum):
    """What an upstream failure means for us (section 1.6 of the provider facts)."""

    DENIED = "denied"  # the person said no
    PERMANENT = "permanent"  # the upstream grant or account is dead
    INTERACTION = "interaction"  # the person must sign in again
    TRANSIENT = "transient"  # down, slow, throttled: try again later
    OPERATOR = "operator"  # our registration or settings are wrong
    PROTOCOL = "protocol"  # the answer cannot be trusted


class SpeaksFor(StrEnum):
    """Whose e-mail addresses a provider speaks for, so that a rule may rely on them (security rule B10)."""

    VERIFIED = "verified"  # those that it verified; only in EMAIL_DOMAINS where that is set
    LISTED = "listed"  # those that it verified in EMAIL_DOMAINS: anybody brings an address along
    VOUCHED = "vouched"  # those in EMAIL_DOMAINS: it verifies none, the administrator vouches for them


# What a policy may ask of a person. `auth_time` is when the person signed in, where a provider can say so and be asked for it.
ATTRIBUTES = frozenset({"user", "domain", "tenant", "organization", "group", "role", "acr", "amr", "auth_time"})


class UpstreamError(Exception):
    """An identity provider's failure. `reason` is a word of ours (never upstream text), `fault` says who can do what about it.

    `tokens` are there when a refresh failed after the provider had rotated: keep them from here on, the old ones may be dead.
    """

    def __init__(self, fault: Fault, reason: str, *, tokens: UpstreamTokens | None = None) -> None:
        """Keep them; the text never holds what the provider said (security rules B12, B13)."""
        super().__init__(f"{fault.value}: {reason}")
        self.fault = fault
        self.reason = reason
        self.tokens = tokens


class ProviderSettingsError(ValueError):
    """A provider's settings cannot be used. Its text is for the administrator and never holds a secret."""


# Why groups are unknown, where that passes by itself: down, slow, throttled. Any other reason stands until somebody mends it.
PASSING = frozenset(
    {
        "answer_lost",
        "graph_throttled",
        "graph_unavailable",
        "groups_unavailable",
        "rate_limited",
        "timeout",
        "unavailable",
        "unreachable",
    }
)


@dataclass(frozen=True, slots=True)
class Groups:
    """Group membership: complete (perhaps empty), or unknown with a reason. Unknown fails closed."""

    names: tuple[str, ...] | None
    reason: str | None = None  # only when names is None

    @classmethod
    def known(cls, names: tuple[str, ...]) -> Groups:
        """Membership as the provider listed it; empty is an answer."""
        return cls(names)

    @classmethod
    def unknown(cls, reason: str) -> Groups:
        """No complete answer; `reason` is a word of ours, such as `claim_absent`."""
        return cls(None, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """One login at the provider, as the broker stored it. `max_age` in seconds."""

    redirect_uri: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    login_hint: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """The query of the callback, every parameter once."""

    params: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTokens:
    """The provider's tokens; sealed before they are stored, never sent on (security rule B13). `expires_in` in seconds."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    expires_in: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamIdentity:
    """A person as the provider vouches for them, fully verified. `attributes` holds `role`, `organization`, `tenant` and the like.

    `auth_time_stated`: the provider itself said `auth_time`; otherwise it is when the adapter heard of the sign-in, which proves
    no age.
    """

    issuer: str
    subject: str
    auth_time: int
    groups: Groups
    auth_time_stated: bool = False
    acr: str | None = None
    amr: tuple[str, ...] | None = None
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sid: str | None = None
    tokens: UpstreamTokens | None = None


class Provider(Protocol):
    """An identity provider, configured. Instances are immutable apart from caches whose loss changes latency, never an answer."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked upstream, for the consent page."""
        ...

    async def authorization_url(self, request: UpstreamRequest) -> str:
        """Return where to send the browser. Raises UpstreamError when the provider's metadata cannot be had."""
        ...

    async def identify(self, callback: Callback, request: UpstreamRequest) -> UpstreamIdentity:
        """Check the callback, redeem its code and verify every answer; raises UpstreamError (security rules B1 to B12)."""
        ...


@runtime_checkable
class RefreshesIdentity(Protocol):
    """A provider that can vouch again without the person: by its refresh token, or by asking with the access token it gave."""

    @property
    def shares_tokens(self) -> bool:
        """Whether a person's newest tokens serve all their sessions, because the provider ends older ones (GitHub)."""
        ...

    async def refresh(self, tokens: UpstreamTokens, known: UpstreamIdentity) -> UpstreamIdentity:
        """Return the person as the provider knows them now; `tokens` of the result are what to keep from here on.

        The same issuer and subject as `known`, or UpstreamError(PERMANENT, "subject_changed"). Groups are read again; unknown ones are
        unknown. Raises UpstreamError: PERMANENT (disabled, revoked, logged out), INTERACTION, TRANSIENT, OPERATOR, PROTOCOL. A
        provider that rotates may have spent the old refresh token when a TRANSIENT error says `answer_lost` (rule B14).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutEvent:
    """A verified logout token: at least one of `subject` and `sid`; `jti` is used up until `expires_at` (seconds)."""

    issuer: str
    subject: str | None
    sid: str | None
    jti: str
    expires_at: int


@runtime_checkable
class VerifiesLogout(Protocol):
    """A provider that sends back-channel logout tokens."""

    async def verify_logout_token(self, token: str) -> LogoutEvent:
        """Return what a logout token says, by every rule of OpenID Connect Back-Channel Logout section 2.6 but replay (rule B15).

        Raises UpstreamError(PROTOCOL, ...) for a token that is not to be believed, TRANSIENT while the keys cannot be had.
        """
        ...


@runtime_checkable
class EndsSession(Protocol):
    """A provider whose own session can be ended by sending the browser there (RP-initiated logout)."""

    async def logout_url(self, tokens: UpstreamTokens | None, *, return_to: str) -> str | None:
        """Return where to send the browser, None where the metadata names no such place."""
        ...


@runtime_checkable
class RevokesTokens(Protocol):
    """A provider whose tokens can be given back (RFC 7009 or its like).

    The broker does so after a person's last session and grant here have ended; one whose answer ends what the person has through
    other clients has no such capability.
    """

    async def revoke(self, tokens: UpstreamTokens) -> bool:
        """Give the tokens back, these alone; False where there is no place for it just now. Raises UpstreamError."""
        ...


class Verdict(StrEnum):
    """How a check went."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One diagnosis: what was looked at, what was found, and the one-line mend with where in the vendor's console it is."""

    name: str
    status: Verdict
    detail: str
    fix: str = ""


@runtime_checkable
class Diagnoses(Protocol):
    """A provider that can say what is wrong with its set-up without a person."""

    async def check(self, redirect_uri: str) -> tuple[Check, ...]:
        """Return every check in a fixed order; `redirect_uri` is ours, spelled as it must be registered. Raises nothing upstream."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What every adapter is configured with. `recheck_interval` in seconds; `timeout` in seconds for one call of the adapter.

    All requests that the call makes share the `timeout`, so that a person waits no longer than that.

    `options` holds the settings that only this type takes, by lower-case name (`base_url`, `groups_claim`, ...), as text.
    """

    id: str
    type: str
    display_name: str
    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] | None = None  # None: the type's own
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float = 10.0
    recheck_interval: int = 900
    loopback: bool = False  # the issuer of the broker is loopback: http is allowed to loopback
    options: Mapping[str, str] = field(default_factory=dict, repr=False)  # some types take a key here


def no_faults(_settings: ProviderSettings) -> tuple[str, ...]:
    """Return that nothing is wrong: for types with no settings of their own to judge."""
    return ()


def nothing_withheld(_options: Mapping[str, str]) -> Mapping[str, str]:
    """Return that everything a type gives is given: for types that need no setting for it."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderType:
    """A kind of provider: data that the settings loader needs, and a constructor.

    `options` are lower-case setting names beyond the common ones; `env_prefix` is the short form's prefix (`KEYCLOAK`), and
    `no_short` are options without one, because that variable belongs to other programs; `aliases` are further variables with the
    setting that each gives: those under the prefix like any short form, others only beside one, or with a client secret among them;
    `issuer_from` derives the issuer from the options of a short or long form where `ISSUER` is absent (None: it is required);
    `faults` says in sentences what is wrong with settings (none: nothing), and `build` raises ProviderSettingsError for the same;
    `gives` are the policy attributes that it can know, of ATTRIBUTES, and `withholds` says which of them not with these options, and
    the option that each waits for; `speaks_for` says whose e-mail addresses count;
    `open_to_anyone` says whether strangers can sign in without a restriction, perhaps depending on the options and on
    `issuer`, which stands among them.
    """

    name: str
    build: Callable[[ProviderSettings, UpstreamHttp, Callable[[], int]], Provider]
    options: frozenset[str] = frozenset()
    env_prefix: str | None = None
    no_short: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    issuer_from: Callable[[Mapping[str, str]], str | None] | None = None
    gives: frozenset[str] = frozenset({"user", "domain", "group", "role", "acr", "amr", "auth_time"})
    withholds: Callable[[Mapping[str, str]], Mapping[str, str]] = nothing_withheld
    speaks_for: SpeaksFor = SpeaksFor.VERIFIED
    open_to_anyone: bool | Callable[[Mapping[str, str]], bool] = False
    faults: Callable[[ProviderSettings], tuple[str, ...]] = no_faults
