"""Type `pingfederate`: PingFederate, and PingOne under its environment's issuer.

Its metadata may list `none` and HMAC algorithms, of which none is ever accepted (rule B5); its tokens carry the header `pi.atm`, which
is ignored. Refresh tokens roll or stay as the grant is set. Logout tokens are sent with the logout mode *OIDC Back-Channel*.
"""

from __future__ import annotations

import functools

from providers.base import ProviderType
from providers.console import Console
from providers.oidc import FullProvider
from providers.options import OPTIONS, Preset, faults

PRESET = Preset(
    console=Console(
        issuer="System > Server > Protocol Settings > Base URL; PingOne: https://auth.pingone.(tld)/(environment id)/as",
        client="Applications > OAuth > Clients > (the client) > Client ID and Client Authentication",
        redirect="Applications > OAuth > Clients > (the client) > Redirect URIs",
        groups="Applications > OAuth > OpenID Connect Policy Management > (the policy) > Attribute Contract: add groups",
        logout="Applications > OAuth > Clients > (the client) > Logout Mode: OIDC Back-Channel, with its Logout URI",
        key="Applications > OAuth > Clients > (the client) > Client Authentication: Private Key JWT, with JWKS",
        refresh="Applications > OAuth > Clients > (the client) > Allowed Grant Types: Refresh Token",
    ),
)
TYPE = ProviderType(name="pingfederate", build=functools.partial(FullProvider, PRESET), options=OPTIONS, faults=faults)
