"""Provider short forms: KEYCLOAK_ISSUER, KEYCLOAK_CLIENT_ID, KEYCLOAK_CLIENT_SECRET and the like configure a provider.

Which ones exist follows from each type's `env_prefix`. An empty variable is absent. Other variables with the same prefix belong
to other programs and are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from broker.config.faults import Faults
from broker.config.table import LATER_TYPES
from providers.base import ProviderType

_COMMON = {
    "ISSUER": "issuer",
    "CLIENT_ID": "client_id",
    "CLIENT_SECRET": "client_secret",
    "CLIENT_SECRET_FILE": "client_secret_file",
    "PROVIDER_NAME": "display_name",
}


def short_forms(
    environ: Mapping[str, str], types: Mapping[str, ProviderType], faults: Faults
) -> dict[tuple[str, ...], tuple[str, str]]:
    """Return the path of each setting that a short form gives, with the variable and its value."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for kind in types.values():
        for name, key in _names(kind).items():
            if environ.get(name):
                found["providers", kind.name, key] = (name, environ[name])
    for name in LATER_TYPES:
        variable = f"{name.upper()}_CLIENT_ID"
        if name not in types and environ.get(variable):
            mend = "unset it, or set BROKER_PROVIDER_ALIASES=false if it belongs to another program"
            faults.add(variable, "environment", f"providers of type {name} are not supported by this version", mend)
    return found


def short_names(types: Mapping[str, ProviderType]) -> list[str]:
    """Return every variable that these types' short forms read."""
    return [name for kind in types.values() for name in _names(kind)]


def short_name(kind: ProviderType, key: str) -> str | None:
    """Return the variable that gives a setting of a type in short form, or None."""
    return next((name for name, given in _names(kind).items() if given == key), None)


def _names(kind: ProviderType) -> dict[str, str]:
    if kind.env_prefix is None:
        return {}
    options = {option.upper(): option for option in sorted(kind.options - kind.no_short)}
    return {f"{kind.env_prefix}_{name}": key for name, key in {**options, **_COMMON}.items()}
