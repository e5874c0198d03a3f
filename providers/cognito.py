"""Type `cognito`: an Amazon Cognito user pool. Its issuer is the pool, its endpoints are on the pool's domain.

Groups are in `cognito:groups`, which is left out for somebody in none: such a person's groups are unknown, not empty. A refresh gives
no new refresh token unless rotation is on; the old one stays. UserInfo writes booleans as text. `max_age` is not known there, so that
a younger login is asked by `prompt=login` and judged by `auth_time`. A session ends at `/logout` with parameters of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from providers.base import Fault, ProviderSettings, ProviderType, UpstreamError, UpstreamRequest
from providers.claims import VerifiedClaims
from providers.console import Console
from providers.discovery import Metadata
from providers.oidc import SessionProvider
from providers.options import OPTIONS, Preset, faults

_AUTHORIZE = "/oauth2/authorize"


def parameters(request: UpstreamRequest, _settings: ProviderSettings) -> Mapping[str, str]:
    """Ask for a new login where a young one is wanted."""
    return {"prompt": "login"} if request.max_age is not None and not request.prompt else {}


def admit(sources: Sequence[VerifiedClaims], _settings: ProviderSettings) -> None:
    """Refuse a token that says it is for another use than an ID token."""
    if any(claims.values.get("token_use", "id") != "id" for claims in sources):
        raise UpstreamError(Fault.PROTOCOL, "token_use")


def logout_endpoint(metadata: Metadata, _settings: ProviderSettings) -> str | None:
    """Return where a session ends, on the pool's domain; metadata of older pools does not say it."""
    authorize = metadata.authorization_endpoint
    derived = authorize.removesuffix(_AUTHORIZE) + "/logout" if authorize.endswith(_AUTHORIZE) else None
    return metadata.end_session_endpoint or derived


PRESET = Preset(
    wanted=(),
    groups=("cognito:groups",),
    parameters=parameters,
    admit=admit,
    logout_endpoint=logout_endpoint,
    logout_return="logout_uri",
    advertises_pkce=False,
    mismatch_marks=("error=redirect_mismatch",),
    console=Console(
        issuer="https://cognito-idp.(region).amazonaws.com/(user pool id): Amazon Cognito > User pools > (the pool) > Overview",
        client="Amazon Cognito > User pools > (the pool) > App clients > (the client) > Client ID and Client secret",
        redirect="Amazon Cognito > User pools > (the pool) > App clients > (the client) > Login pages > Allowed callback URLs",
        groups="Amazon Cognito > User pools > (the pool) > Groups: people in a group have the claim cognito:groups",
        logout="",
        key="Cognito takes no keys from clients: use a client secret",
        refresh="Amazon Cognito > User pools > (the pool) > App clients > (the client) > Edit: ALLOW_REFRESH_TOKEN_AUTH",
    ),
)
TYPE = ProviderType(
    name="cognito",
    build=functools.partial(SessionProvider, PRESET),
    options=OPTIONS,
    gives=frozenset({"user", "domain", "group", "auth_time"}),
    faults=faults,
)
