"""The records that flow through the broker: frozen values, no behaviour beyond what is derived from their own fields. Leaf.

Times are whole seconds since the epoch, in the store's clock. Hashes are SHA-256 of the handle's ASCII.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

REALM = "default"


def digest(handle: str) -> bytes:
    """Return the SHA-256 of a handle: what the store keeps of codes, states, cookies and client secrets."""
    return hashlib.sha256(handle.encode()).digest()


class ClientSource(StrEnum):
    """Where a client's metadata comes from, most trusted first."""

    CONFIGURED = "configured"  # settings
    ADDED = "added"  # `mcp-broker clients add`
    METADATA_DOCUMENT = "metadata_document"  # CIMD
    REGISTERED = "registered"  # RFC 7591
    INTERNAL = "internal"  # the broker itself: a login for no app

    @property
    def preregistered(self) -> bool:
        """Whether an administrator vouched for the client."""
        return self in (ClientSource.CONFIGURED, ClientSource.ADDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An OAuth client (RFC 7591 section 2 names). `jwks` is a JSON text; `secret_hash` a SHA-256."""

    client_id: str
    name: str
    source: ClientSource
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    token_endpoint_auth_method: str = "none"  # noqa: S105 - RFC 7591's word for a public client
    secret_hash: bytes | None = None
    jwks: str | None = None
    jwks_uri: str | None = None
    scope: str | None = None
    application_type: str | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    default_resource: str | None = None
    created_at: int = 0
    expires_at: int | None = None  # unused registrations only
    blocked: bool = False

    @property
    def metadata_hash(self) -> str:
        """Hash of everything that consent shows or relies on (security rules A5, D11)."""
        return _metadata_hash(self)


@lru_cache(maxsize=64)
def _metadata_hash(client: Client) -> str:
    shown = (
        client.name,
        client.source.value,
        sorted(client.redirect_uris),
        client.client_uri,
        client.logo_uri,
        client.token_endpoint_auth_method,
        client.jwks,
        client.jwks_uri,
    )
    return hashlib.sha256(repr(shown).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What an MCP server demands of a sign-in: one of these `acr`, and an age in seconds that it may have. Empty: nothing."""

    acr: tuple[str, ...] = ()
    max_login_age: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One MCP server. `url` is its identifier exactly as registered; it becomes `aud` byte for byte."""

    id: str
    url: str
    name: str
    scopes: Mapping[str, str]  # scope -> words for the consent page
    default_scopes: tuple[str, ...]
    secret_hash: bytes | None = None
    signing_alg: str | None = None  # None: the global one
    token_typ: str = "at+jwt"  # noqa: S105 - RFC 9068 section 2.1
    access_token_ttl: int | None = None  # seconds
    require: Requirement = Requirement()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """What the broker asks a provider for again, once for each request, because a sign-in was too weak or too old.

    `subject` is the person it is for (rule A13). `acr_values` are the provider's own words, best first; `max_age` in seconds;
    `anew`: the provider's own session does not do, the person has to sign in there again.
    """

    provider: str
    subject: str
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    anew: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request to /authorize after every check that needs no person. `resource` is a registered URL, `scopes` known to it."""

    client_id: str
    redirect_uri: str
    resource: str
    scopes: tuple[str, ...]
    code_challenge: str
    state: str | None = None
    prompt: tuple[str, ...] = ()
    login_hint: str | None = None
    max_age: int | None = None  # seconds
    acr_values: tuple[str, ...] = ()
    step_up: StepUp | None = None  # ours, never the client's: the sign-in that is on its way is the second one


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signed in, as our own records keep it. `groups` is None when unknown; `attributes` holds roles, organizations, tenant.

    `auth_time_stated`: the provider itself said when the person signed in; otherwise `auth_time` is only when we heard of it.
    """

    subject: str  # ours, u_...
    provider: str
    upstream_issuer: str
    upstream_subject: str
    auth_time: int
    auth_time_stated: bool = False
    acr: str | None = None
    amr: tuple[str, ...] | None = None
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    groups: tuple[str, ...] | None = None
    groups_unknown: str | None = None  # the reason when groups is None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    upstream_sid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogin:
    """A login on its way to the identity provider. `sealed` holds the upstream PKCE verifier; `request` is our client's request."""

    request_id: str  # of the sealed page; the later approval replaces the earlier
    state_hash: bytes
    cookie_hash: bytes
    provider: str
    nonce: str
    sealed_verifier: str
    request: AuthorizationRequest
    client: Client  # the metadata as shown
    remember: bool
    source: str  # the approving address
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSession:
    """What ties a broker session and its grants to the identity provider: when this one ends, they all have ended.

    `sealed_tokens` is what the provider can be asked with again, None where there is nothing. `shared`: one for all sessions of this
    person at this provider.
    """

    upstream_session_id: str
    identity: Identity  # as the provider last described the person
    sealed_tokens: str | None
    began_at: int  # when its login was approved: a logout event since then wins (rule B17)
    checked_at: int  # when the provider last vouched for the person
    known_at: int  # when it last told all that it used to tell: groups, roles, organisations
    expires_at: int  # when it may go unless a grant still needs it
    shared: bool = False
    ended_at: int | None = None
    ended_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser's session with the broker. Only the hash of its cookie is stored."""

    session_hash: bytes
    upstream: UpstreamSession
    created_at: int
    expires_at: int

    @property
    def identity(self) -> Identity:
        """Who is signed in."""
        return self.upstream.identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a person gave a client on one resource; its row is also the whole refresh chain (handle, generation).

    `handle` is random and not the id. `activated_at` is None until the code was redeemed. `generation` is 0 before any refresh
    token was made. `scopes` is what was consented to. `revoked_at`/`revoked_reason` end it, the end of its upstream session as well;
    `identity` and `checked_at` are that one's, as far as there is one.
    """

    grant_id: str
    realm_id: str = REALM
    client_id: str
    client_snapshot: Client
    identity: Identity
    session_hash: bytes | None
    upstream_session_id: str | None = None
    checked_at: int | None = None
    resource: str
    scopes: tuple[str, ...]
    handle: str
    generation: int = 0
    mac_key_id: str
    rotated_at: int | None = None
    created_at: int
    activated_at: int | None = None
    idle_expires_at: int
    expires_at: int
    revoked_at: int | None = None
    revoked_reason: str | None = None
    auth_method: str = "authorization_code"
    sub_issued: str | None = None
    actor: str | None = None
    cnf: str | None = None
    authorization_details: str | None = None
    status_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """An authorization code: hash only, bound to what RFC 6749, 7636 and 8707 say."""

    code_hash: bytes
    request_id: str
    grant_id: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    resource: str
    scopes: tuple[str, ...]
    source: str  # the approving address (rule A14)
    issued_at: int
    expires_at: int
    redeemed_at: int | None = None
    wrong_attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A remembered consent. `key` hashes identity, client, redirect URI, resource, scope set and metadata shown (rule A5)."""

    key: bytes
    subject: str
    client_id: str
    redirect_uri: str
    resource: str
    scopes: tuple[str, ...]
    created_at: int
    remembered: bool  # False: only says that this person approved this client and redirect before (rule C5)
    forget: bool = False  # an answer on the short page without its check mark: what was remembered is so no more


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A signing or MAC key, its private part sealed. States: pending -> active -> retiring -> gone (the row is deleted)."""

    kid: str  # RFC 7638 thumbprint; random for MAC keys
    alg: str  # RS256, ES256, Ed25519, or HMAC for the refresh-token MAC
    sealed: str
    public_jwk: str  # JSON; empty for MAC keys
    created_at: int
    activates_at: int
    retires_at: int | None = None  # signs no more from here
    gone_at: int | None = None  # unpublished from here


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """Whose sessions a logout event ends: at least one of `subject` and `sid`, as the issuer names them."""

    issuer: str
    subject: str | None
    sid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What somebody holds that lives: browser sessions, and grants of apps."""

    sessions: tuple[Session, ...]
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSummary:
    """Somebody who signed in here, as last described, with how many live sessions and grants they hold."""

    identity: Identity
    seen_at: int  # when they last signed in
    sessions: int
    grants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One event of the audit trail. `fields` holds ids and words only: no secret, no upstream text."""

    name: str
    at: int
    request_id: str = ""
    subject: str | None = None
    client_id: str | None = None
    resource: str | None = None
    grant_id: str | None = None
    fields: Mapping[str, str | int | bool | None] = field(default_factory=dict)


Events = Sequence[AuditEvent]
