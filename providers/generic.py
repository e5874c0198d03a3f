"""Type `oidc`: any OpenID Connect provider that publishes discovery.

Scopes for refresh tokens and groups are asked where the metadata lists them. `offline_access` goes with `prompt=consent`, without
which Core section 11 lets a provider ignore it; OFFLINE_ACCESS=silent leaves that out for a provider that does not need it.
"""

from __future__ import annotations

import functools

from providers.base import ProviderType
from providers.oidc import FullProvider
from providers.options import OFFLINE, OPTIONS, Preset, faults

PRESET = Preset(wanted=(OFFLINE, "groups"), offline="consent")
TYPE = ProviderType(
    name="oidc",
    build=functools.partial(FullProvider, PRESET),
    options=OPTIONS,
    env_prefix="OIDC",
    faults=faults,
)
