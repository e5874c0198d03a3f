"""Type `auth0`: an Auth0 tenant. Its issuer ends with a slash, and a custom domain is another issuer.

Groups and roles are only in claims that an Action adds, named by a URL: GROUPS_CLAIM and ROLES_CLAIM say which. With ORGANIZATION the
login is for that organization, and a token of another is refused. Revoking one refresh token ends every one of that person and
application unless the tenant says otherwise, so no single one is given back.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from providers.base import Fault, ProviderSettings, ProviderType, UpstreamError, UpstreamRequest
from providers.claims import VerifiedClaims, is_word
from providers.console import Console
from providers.discovery import Metadata
from providers.oidc import NotifyingProvider
from providers.options import OPTIONS, Preset, Rule
from providers.options import faults as common_faults


def parameters(_request: UpstreamRequest, settings: ProviderSettings) -> Mapping[str, str]:
    """Return the organization to sign in to."""
    return {"organization": settings.options.get("organization", "")}


def admit(sources: Sequence[VerifiedClaims], settings: ProviderSettings) -> None:
    """Refuse a token of another organization than the one that was asked for, by id or, in lower case, by name."""
    wanted = settings.options.get("organization")
    if not wanted:
        return
    claim, expected = ("org_id", wanted) if wanted.startswith("org_") else ("org_name", wanted.lower())
    if not any(claims.values.get(claim) == expected for claims in sources):
        raise UpstreamError(Fault.DENIED, "organization")


def attributes(sources: Sequence[VerifiedClaims]) -> Mapping[str, tuple[str, ...]]:
    """Return the organization of the login, by id and, where the tenant adds it, by name."""
    values = [claims.values.get(name) for name in ("org_id", "org_name") for claims in sources]
    found = tuple(dict.fromkeys(value for value in values if is_word(value)))
    return {"organization": found} if found else {}


def logout_endpoint(metadata: Metadata, settings: ProviderSettings) -> str:
    """Return where a session ends; tenants may keep it out of their metadata."""
    return metadata.end_session_endpoint or f"{settings.issuer}oidc/logout"


RULES: tuple[Rule, ...] = (
    ("ISSUER must end with a slash, as Auth0 writes it: https://(tenant).auth0.com/", lambda s: s.issuer.endswith("/")),
)
faults = functools.partial(common_faults, more=RULES)

PRESET = Preset(
    parameters=parameters,
    admit=admit,
    attributes=attributes,
    logout_endpoint=logout_endpoint,
    console=Console(
        issuer="Applications > (the application) > Settings > Domain: https://(domain)/ with the slash",
        client="Applications > (the application) > Settings > Client ID and Client Secret",
        redirect="Applications > (the application) > Settings > Allowed Callback URLs",
        groups="Actions > Triggers > post-login: api.idToken.setCustomClaim with a URL as its name, then GROUPS_CLAIM with that URL",
        logout="Applications > (the application) > Settings > OpenID Connect Back-Channel Logout (Enterprise)",
        key="Applications > (the application) > Credentials > Private Key JWT (Enterprise)",
        refresh="Applications > (the application) > Settings > Advanced > Grant Types: Refresh Token",
    ),
    rules=RULES,
)
TYPE = ProviderType(
    name="auth0",
    build=functools.partial(NotifyingProvider, PRESET),
    options=OPTIONS | {"organization"},
    gives=frozenset({"user", "domain", "group", "role", "organization", "acr", "amr", "auth_time"}),
    faults=faults,
)
