"""Type `oidc`: any OpenID Connect provider that publishes discovery."""

from __future__ import annotations

import functools

from providers.base import ProviderType
from providers.oidc import OpenIdProvider
from providers.options import OPTIONS, Preset, faults

TYPE = ProviderType(
    name="oidc",
    build=functools.partial(OpenIdProvider, Preset()),
    options=OPTIONS,
    env_prefix="OIDC",
    faults=faults,
)
