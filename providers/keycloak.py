"""Type `keycloak`: a Keycloak realm. Roles are where its mappers put them; groups need a Group Membership mapper.

It asks for `offline_access` where the realm offers it, since a session that idles out after half an hour would end every grant.
`refresh_expires_in: 0` and `session_state` are ignored, tokens of impersonated sessions (`act`) refused and encryption keys left out
as everywhere. Group paths come as the mapper is set: `/eng/backend` with *Full group path*, else `backend`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from providers.base import Fault, ProviderSettings, ProviderType, UpstreamError
from providers.claims import Path, VerifiedClaims, at, words
from providers.console import Console
from providers.oidc import FullProvider
from providers.options import OPTIONS, Preset, faults


def issuer_from(options: Mapping[str, str]) -> str | None:
    """Return the realm's issuer from `url` (with its relative path, if any) and `realm`; None unless both are there."""
    url, realm = options.get("url"), options.get("realm")
    return f"{url.rstrip('/')}/realms/{quote(realm, safe='')}" if url and realm else None


def role_claims(settings: ProviderSettings) -> tuple[Path, ...]:
    """Return where realm roles and this client's roles are, once their mappers add them to the ID token or UserInfo."""
    return ("realm_access", "roles"), ("resource_access", settings.client_id, "roles")


def organizations(sources: Sequence[VerifiedClaims]) -> Mapping[str, tuple[str, ...]]:
    """Return the aliases in the claim `organization`: a list of them, or an object with one member each."""
    for claims in sources:
        value = at(claims, ("organization",))
        names = None if value is None else words(list(value) if isinstance(value, Mapping) else value)
        if names is not None:
            return {"organization": names}
    return {}


def token_error(answer: Mapping[str, object]) -> UpstreamError | None:
    """Return what Keycloak says beyond the standard: the person lacks the role `offline_access`; None for all else."""
    return UpstreamError(Fault.OPERATOR, "offline_access_not_allowed") if answer.get("error") == "not_allowed" else None


PRESET = Preset(
    roles=role_claims,
    attributes=organizations,
    token_error=token_error,
    console=Console(
        reach="ISSUER (or URL and REALM), DISCOVERY_URL and PROXY",
        issuer="Realm settings > General > Endpoints > OpenID Endpoint Configuration shows it",
        client="Clients > (the client) > Settings > Client ID, and Credentials > Client Secret",
        redirect="Clients > (the client) > Settings > Valid redirect URIs",
        groups="Client scopes > (client)-dedicated > Add mapper > Group Membership, claim name groups, added to the ID token",
        logout="Clients > (the client) > Settings > Backchannel logout URL, with Backchannel logout session required",
        key="Clients > (the client) > Keys, with Credentials > Client Authenticator: Signed JWT",
        refresh="Clients > (the client) > Client scopes: add offline_access as Optional, and give people the role offline_access",
    ),
)
TYPE = ProviderType(
    name="keycloak",
    build=functools.partial(FullProvider, PRESET),
    options=OPTIONS | {"url", "realm"},
    env_prefix="KEYCLOAK",
    issuer_from=issuer_from,
    gives=frozenset({"user", "domain", "group", "role", "organization", "acr", "amr", "auth_time"}),
    faults=faults,
)
