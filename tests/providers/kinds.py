"""The OpenID types under the contract: how the scripted provider looks as each, and what each can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.base import Diagnoses, EndsSession, RefreshesIdentity, RevokesTokens, VerifiesLogout

ALWAYS = (RefreshesIdentity, Diagnoses)
CAPABILITIES = (*ALWAYS, EndsSession, RevokesTokens, VerifiesLogout)


@dataclass(frozen=True)
class Kind:
    """One type: its issuer, the options that make the contract's claims its own, what its people's claims hold beyond the common."""

    issuer: str
    can: tuple[type, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    assertions_name_endpoint: bool = False  # rule B18: only where the type says so


KINDS = {
    "oidc": Kind("https://idp.example.test", CAPABILITIES),
    "keycloak": Kind("https://kc.example.test/auth/realms/acme", CAPABILITIES),
    "google": Kind("https://accounts.google.com", ALWAYS, {"groups_claim": "groups"}, {"hd": "example.com"}),
    "okta": Kind("https://acme.okta.com/oauth2/default", (*ALWAYS, RevokesTokens), assertions_name_endpoint=True),
    "auth0": Kind("https://acme.eu.auth0.com/", (*ALWAYS, EndsSession, VerifiesLogout)),
    "gitlab": Kind("https://gitlab.example.com", (*ALWAYS, RevokesTokens)),
    "authentik": Kind("https://auth.example.test/application/o/broker/", CAPABILITIES),
    "cognito": Kind(
        "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI",
        (*ALWAYS, EndsSession, RevokesTokens),
        {"groups_claim": "groups"},
        {"token_use": "id"},
    ),
    "pingfederate": Kind("https://sso.example.test", CAPABILITIES),
    "dex": Kind("https://dex.example.test/dex", ALWAYS),
}


def kinds_that(capability: type) -> list[str]:
    """Return the names of the types that have a capability."""
    return sorted(name for name, kind in KINDS.items() if capability in kind.can)
