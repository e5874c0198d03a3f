"""What the token endpoint asks of a grant type, and what all grant types share: the target and the lifetimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.model import AuthorizationCode, Client, Grant, Resource
from broker.oauth import InvalidGrant, InvalidTarget, Reason
from broker.policy import Decision
from broker.protocol import scope
from broker.protocol.resource import choose
from broker.token_issuer import Authorization
from broker.web import Params

JTI_BYTES = 18  # random ones in an access token's id


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token request whose client is authenticated. `source` is the caller's address, `now` in seconds."""

    params: Params
    client: Client
    source: str
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a request presents, as the store has it: a code or one generation of a refresh token, with its grant."""

    grant: Grant
    code: AuthorizationCode | None = None
    generation: int = 0


class GrantType(Protocol):
    """One `grant_type`, in two steps, since whose row it is tells how the client is found (architecture, "registration")."""

    @property
    def grant_type(self) -> str:
        """The value of the parameter."""
        ...

    async def find(self, params: Params) -> Found | None:
        """Return what the request presents, changing nothing; None when there is no such thing. Raises StoreUnavailable."""
        ...

    async def authorize(self, request: TokenRequest, found: Found | None) -> Authorization:
        """Decide, consume and audit in this order; nothing is minted here. Raises OAuthError, StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long things live: the access token in seconds, the grant until two moments in seconds since the epoch."""

    access_token: int
    idle_expires_at: int
    expires_at: int


def lifetimes(decision: Decision, *, now: int, expires_at: int) -> Lifetimes:
    """Return the lifetimes that a decision means for a grant that ends at `expires_at`; no token outlives its grant."""
    idle_expires_at = min(now + decision.refresh_token_ttl, expires_at)
    access_token = min(decision.access_token_ttl, idle_expires_at - now)
    return Lifetimes(access_token=access_token, idle_expires_at=idle_expires_at, expires_at=expires_at)


def bound_resource(resources: Sequence[Resource], params: Params, bound: str) -> Resource:
    """Return the resource that a grant is bound to; a `resource` parameter may only name the same (RFC 8707 section 2.2).

    Raises InvalidTarget, also when the bound one is not registered any more.
    """
    target = choose(resources, [bound], default=None)
    asked = params.all("resource")
    if asked and choose(resources, asked, default=None).url != target.url:
        raise InvalidTarget(Reason.RESOURCE_MISMATCH)
    return target


def client_scopes(client: Client, target: Resource, consented: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the client may still have of what was consented to, as its metadata is now (rule C10).

    Raises InvalidGrant when that is nothing; the grant is kept, since an administrator's mistake can be mended.
    """
    scopes = scope.allowed(client, target, consented)
    if consented and not scopes:
        raise InvalidGrant(Reason.SCOPE_NOT_ALLOWED)
    return scopes
