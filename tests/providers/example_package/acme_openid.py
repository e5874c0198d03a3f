"""Type `acme`: scopes and claims of Acme's OpenID provider."""

import functools

from providers.base import ProviderType
from providers.oidc import FullProvider
from providers.options import OPTIONS, Preset, faults

PRESET = Preset(groups=("https://acme.example/groups",))
TYPE = ProviderType(name="acme", build=functools.partial(FullProvider, PRESET), options=OPTIONS, faults=faults)
