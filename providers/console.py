"""Where things are in a vendor's console: one line each, for the mends of a diagnosis and the page for administrators. Data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """One line each: where to read the issuer, the client id and secret, where to register our redirect URI and logout URL.

    `key` is where our public key or certificate is registered, `groups` how groups get to us, `refresh` what makes the provider give
    refresh tokens. `reach` are the settings that decide where we connect to. An empty line: that provider has no such thing.
    `takes_issuer`: ISSUER is a setting of its own, rather than what follows from others.
    """

    reach: str = "ISSUER, DISCOVERY_URL and PROXY"
    takes_issuer: bool = True
    issuer: str = "the provider's discovery document names its issuer"
    client: str = "the client's page at the provider"
    redirect: str = "the client's list of redirect URIs"
    groups: str = "add a claim with the groups to the ID token or UserInfo, and name it in GROUPS_CLAIM"
    logout: str = "the client's back-channel logout URL, if the provider has one"
    key: str = "the client's keys (JWKS) at the provider"
    refresh: str = "allow the client the grant refresh_token and the scope offline_access"
