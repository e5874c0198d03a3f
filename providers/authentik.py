"""Type `authentik`: an OAuth2/OpenID provider in authentik. Its issuer is that of the application and ends with a slash.

Groups come by name in the scope `profile`. Refresh tokens need the scope mapping `offline_access`. The subject mode of the provider
decides `sub`: changing it later makes everybody a new person. Logout tokens are sent from 2025.8 on.
"""

from __future__ import annotations

import functools

from providers.base import ProviderType
from providers.console import Console
from providers.oidc import FullProvider
from providers.options import OPTIONS, Preset, faults

PRESET = Preset(
    console=Console(
        issuer="Applications > Providers > (the provider) > OpenID Configuration Issuer: …/application/o/(slug)/ with the slash",
        client="Applications > Providers > (the provider) > Edit > Client ID and Client Secret",
        redirect="Applications > Providers > (the provider) > Edit > Redirect URIs, matching mode Strict",
        groups="Applications > Providers > (the provider) > Edit > Advanced > Scopes: authentik default OAuth Mapping 'profile'",
        logout="Applications > Providers > (the provider) > Edit > Logout URI, with Logout Method Back-channel",
        key="Applications > Providers > (the provider) > Edit > Machine-to-Machine > Federated OIDC sources; else use a client secret",
        refresh="Applications > Providers > (the provider) > Edit > Advanced > Scopes: authentik default OAuth Mapping 'offline_access'",
    ),
)
TYPE = ProviderType(name="authentik", build=functools.partial(FullProvider, PRESET), options=OPTIONS, faults=faults)
