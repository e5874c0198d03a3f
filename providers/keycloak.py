"""Type `keycloak`: a Keycloak realm. Roles are where its mappers put them; groups need a Group Membership mapper.

Nothing else differs from `oidc`: `session_state` in the callback is ignored, tokens of impersonated sessions (`act`) are refused as
everywhere, encryption keys in the key set are left out as everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from urllib.parse import quote

from providers.base import ProviderSettings, ProviderType
from providers.claims import Path
from providers.oidc import OpenIdProvider
from providers.options import OPTIONS, Preset, faults


def issuer_from(options: Mapping[str, str]) -> str | None:
    """Return the realm's issuer from `url` (with its relative path, if any) and `realm`; None unless both are there."""
    url, realm = options.get("url"), options.get("realm")
    return f"{url.rstrip('/')}/realms/{quote(realm, safe='')}" if url and realm else None


def role_claims(settings: ProviderSettings) -> tuple[Path, ...]:
    """Return where realm roles and this client's roles are, once their mappers add them to the ID token or UserInfo."""
    return ("realm_access", "roles"), ("resource_access", settings.client_id, "roles")


TYPE = ProviderType(
    name="keycloak",
    build=functools.partial(OpenIdProvider, Preset(roles=role_claims)),
    options=OPTIONS | {"url", "realm"},
    env_prefix="KEYCLOAK",
    issuer_from=issuer_from,
    faults=faults,
)
