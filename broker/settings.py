"""The settings as the program uses them: frozen, complete, checked. `config.load` makes them; tests construct them directly.

Lifetimes and intervals are whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from broker.model import Client, Resource
from broker.protocol.public_address import is_loopback
from broker.secret_source import Secret
from providers.base import ATTRIBUTES, ProviderSettings, SpeaksFor

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK_HOSTS or is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events in `window` seconds (`100/h`)."""

    count: int
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """One identity provider: what the adapter needs, and who may sign in through it (None: no such restriction).

    `gives` are the attributes that its type can know, `speaks_for` whose e-mail addresses count. `stale_limit`: for how many seconds
    after a due re-check a refresh is answered although the provider cannot be asked. `logout_ends_grants`: a logout there ends the
    grants of apps, not only browser sessions.
    """

    adapter: ProviderSettings
    allowed_domains: tuple[str, ...] | None = None
    allowed_groups: tuple[str, ...] | None = None
    email_domains: tuple[str, ...] | None = None
    acr_map: Mapping[str, str] = field(default_factory=dict)
    identity_namespace: str = ""
    allow_anyone: bool = False
    stale_limit: int = 0
    logout_ends_grants: bool = True
    enabled_by: str = ""  # the variable or file key, for the log
    gives: frozenset[str] = ATTRIBUTES
    speaks_for: SpeaksFor = SpeaksFor.VERIFIED

    @property
    def id(self) -> str:
        """The provider's id: its callback path and the value of its button."""
        return self.adapter.id


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminGroup:
    """Whoever is in this group (a glob) at this provider administers the broker."""

    provider: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One rule (architecture, section 7). An empty tuple names no condition. `scopes` None: all of the resource.

    `max_login_age` in seconds, only of an `allow`.
    """

    name: str
    effect: str = "allow"
    resource: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    organization: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    max_login_age: int | None = None
    scopes: tuple[str, ...] | None = None
    access_token_ttl: int | None = None
    refresh_token_ttl: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Only `issuer` has no default."""

    issuer: str
    bind: Address = Address("127.0.0.1", 8080)
    admin_bind: Address = Address("127.0.0.1", 8081)
    database_url: Secret = field(default_factory=lambda: Secret("sqlite:///broker.db"))
    master_keys: tuple[bytes, ...] = field(default=(), repr=False)  # empty: loopback, made beside the SQLite file
    providers: tuple[ProviderConfig, ...] = ()
    resources: tuple[Resource, ...] = ()
    clients: tuple[Client, ...] = ()
    policy: tuple[PolicyRule, ...] = ()
    dcr: bool = True
    dcr_rate: Rate = Rate(100, HOUR)
    dcr_unused: int = 10_000
    dcr_unused_ttl: int = 30 * DAY
    dcr_token: Secret | None = None
    cimd: bool = True
    cimd_allowed_hosts: tuple[str, ...] | None = None
    cimd_ca_file: str | None = None
    cimd_max_bytes: int = 5120
    cimd_proxy: str | None = field(default=None, repr=False)
    redirect_schemes: tuple[str, ...] = ()
    access_token_ttl: int = 15 * MINUTE
    refresh_token_ttl: int = 30 * DAY
    grant_ttl: int = 90 * DAY
    refresh_grace: int = 120
    session_ttl: int = 12 * HOUR
    key_rotation: int = 90 * DAY
    audit_retention: int = 400 * DAY
    remember_consent: bool = False
    default_resource: str | None = None  # a resource's url
    signing_alg: str = "RS256"
    assertion_audience: str = "issuer"
    trusted_proxies: tuple[str, ...] = ()
    log_format: str = "json"  # or "text"
    log_level: str = "info"
    loopback_same_source: str = "audit"  # or "enforce"
    drain: int = 5
    admin_groups: tuple[AdminGroup, ...] = ()
    debug_login: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)  # setting -> where its value came from
    warnings: tuple[str, ...] = field(default=(), repr=False)  # allowed, and perhaps not meant: for the log at start

    @property
    def issuer_path(self) -> str:
        """The issuer's path, without a trailing slash; empty for a root issuer."""
        return urlsplit(self.issuer).path

    @property
    def loopback(self) -> bool:
        """Whether the issuer is on this machine only: development and demo."""
        return urlsplit(self.issuer).hostname in LOOPBACK_HOSTS

    @property
    def signing_algs(self) -> tuple[str, ...]:
        """The algorithms in use, the global one first."""
        return tuple(dict.fromkeys([self.signing_alg, *(r.signing_alg for r in self.resources if r.signing_alg)]))

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies carry the __Host- prefix and Secure (rule G9)."""
        return self.issuer.startswith("https://")

    def url(self, path: str) -> str:
        """Return an absolute URL of ours; never from the request's Host (rule G1)."""
        return self.issuer + path
