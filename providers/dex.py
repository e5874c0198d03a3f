"""Type `dex`: Dex, which stands before other identity providers. Groups and refresh tokens come only for scopes of their own.

What Dex says of a person is as good as its connector: some vouch for every e-mail address. On a refresh it asks the connector again,
where that can be asked; a refresh token that is dead it calls `invalid_request`. It takes no token back, sends no logout tokens and has
no session to end; it knows no `acr`.
"""

from __future__ import annotations

import functools

from providers.base import ProviderType
from providers.console import Console
from providers.oidc import OpenIdProvider
from providers.options import OFFLINE, OPTIONS, Preset, faults

PRESET = Preset(
    wanted=(OFFLINE, "groups"),
    dead_refresh="invalid_request",
    console=Console(
        issuer="the key issuer in Dex's configuration file",
        client="staticClients in Dex's configuration file: id and secret",
        redirect="staticClients in Dex's configuration file: redirectURIs",
        groups="the connector's own settings in Dex's configuration file: its groups or organisations",
        logout="",
        key="Dex takes no keys from clients: use a client secret",
        refresh="leave SCOPES out, or add offline_access to it",
    ),
)
TYPE = ProviderType(
    name="dex",
    build=functools.partial(OpenIdProvider, PRESET),
    options=OPTIONS,
    gives=frozenset({"user", "domain", "group"}),
    faults=faults,
)
