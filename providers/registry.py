"""The known provider types: ours, and those of installed packages under the entry point group `mcp_broker.providers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from providers import (
    auth0,
    authentik,
    cognito,
    dex,
    entra,
    generic,
    github,
    gitlab,
    google,
    keycloak,
    okta,
    pingfederate,
)
from providers.base import Provider, ProviderSettings, ProviderSettingsError, ProviderType
from providers.http import UpstreamHttp

GROUP = "mcp_broker.providers"
_OURS = (
    generic.TYPE,
    auth0.TYPE,
    authentik.TYPE,
    cognito.TYPE,
    dex.TYPE,
    entra.TYPE,
    github.TYPE,
    gitlab.TYPE,
    google.TYPE,
    keycloak.TYPE,
    okta.TYPE,
    pingfederate.TYPE,
)
_DISTRIBUTION = "mcp-federation-broker"

# What importing somebody's module can raise; anything else is a fault in the interpreter, not in the package.
_IMPORT_FAULTS = (ImportError, AttributeError, SyntaxError, TypeError, ValueError, LookupError, RuntimeError, OSError)


def provider_types(installed: Iterable[EntryPoint] | None = None) -> Mapping[str, ProviderType]:
    """Return every provider type by name. `installed` replaces the installed packages' entry points in tests.

    Raises ProviderSettingsError, naming the package, when an entry point cannot be loaded, is no ProviderType, or takes a name
    that is taken.
    """
    types = {kind.name: kind for kind in _OURS}
    for entry in entry_points(group=GROUP) if installed is None else installed:
        if _package(entry) == _DISTRIBUTION:
            continue  # ours are above, installed or not
        kind = _load(entry)
        if kind.name in types:
            raise ProviderSettingsError(f"package {_package(entry)}: the provider type {kind.name!r} exists already")
        types[kind.name] = kind
    return MappingProxyType(types)


def build(
    settings: ProviderSettings,
    http: UpstreamHttp,
    now: Callable[[], int],
    types: Mapping[str, ProviderType] | None = None,
) -> Provider:
    """Return the adapter that `settings` describe. `now` returns epoch seconds. Raises ProviderSettingsError."""
    kind = (provider_types() if types is None else types).get(settings.type)
    if kind is None:
        raise ProviderSettingsError(f"provider {settings.id}: the type {settings.type!r} is unknown")
    return kind.build(settings, http, now)


def _load(entry: EntryPoint) -> ProviderType:
    try:
        kind = entry.load()
    except _IMPORT_FAULTS as error:
        raise ProviderSettingsError(
            f"package {_package(entry)}: its provider type {entry.name!r} ({entry.value}) cannot be loaded: {type(error).__name__}"
        ) from error
    if not isinstance(kind, ProviderType) or kind.name != entry.name:
        raise ProviderSettingsError(
            f"package {_package(entry)}: {entry.value} is not a ProviderType with the name {entry.name!r}"
        )
    return kind


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "(unknown)"
