"""Provider short forms: KEYCLOAK_ISSUER, KEYCLOAK_CLIENT_ID, KEYCLOAK_CLIENT_SECRET and the like configure a provider.

Which ones exist follows from each type's `env_prefix` and `aliases`. An empty variable is absent. Other variables with the same
prefix belong to other programs and are left alone; an alias of another prefix (AZURE_…) counts only beside a short form, or when a
client secret is among them: a platform injects the others for its own ends. A setting that every type takes and that has no short
form is refused under one (KEYCLOAK_ALLOWED_GROUPS).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from broker.config.table import PROVIDER, variable
from providers.base import ProviderType

_COMMON = {
    "ISSUER": "issuer",
    "CLIENT_ID": "client_id",
    "CLIENT_SECRET": "client_secret",
    "CLIENT_SECRET_FILE": "client_secret_file",
    "PROVIDER_NAME": "display_name",
}


def short_forms(
    environ: Mapping[str, str], types: Mapping[str, ProviderType]
) -> dict[tuple[str, ...], tuple[str, str]]:
    """Return the path of each setting that a short form gives, with the variable and its value."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for kind in types.values():
        for name, key in _given(kind, environ):
            found["providers", kind.name, key] = (name, environ[name])
    return found


def without_short_form(environ: Mapping[str, str], types: Mapping[str, ProviderType]) -> Iterator[tuple[str, str, str]]:
    """Yield each variable that looks like a short form of a provider's setting and is none, its long form, and the prefix.

    Only beside a short form that counts. Left unread, one that restricts who may sign in would let everybody in.
    """
    for kind in types.values():
        for key in PROVIDER if _given(kind, environ) else ():
            name = f"{kind.env_prefix}_{key.upper()}"
            if environ.get(name) and name not in _names(kind):
                yield name, variable(("providers", kind.name, key)), str(kind.env_prefix)


def switched_off(provider_aliases: object) -> bool:
    """Tell whether a setting `provider_aliases`, as somebody wrote it, says that there are no short forms."""
    return provider_aliases is not None and str(provider_aliases).strip().lower() == "false"


def short_names(types: Mapping[str, ProviderType]) -> list[str]:
    """Return every variable that these types' short forms read."""
    return [name for kind in types.values() for name in (*_names(kind), *_others(kind))]


def short_name(kind: ProviderType, key: str) -> str | None:
    """Return the variable that gives a setting of a type in short form, or None."""
    return next((name for name, given in _names(kind).items() if given == key), None)


def _given(kind: ProviderType, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each variable of a type that counts with the setting that it gives, a type's own after the others, which they win over."""
    own = [(name, key) for name, key in _names(kind).items() if environ.get(name)]
    others = [(name, key) for name, key in _others(kind).items() if environ.get(name)]
    return [*others, *own] if own or "client_secret" in dict(others).values() else []


def _names(kind: ProviderType) -> dict[str, str]:
    if kind.env_prefix is None:
        return {}
    options = {option.upper(): option for option in sorted(kind.options - kind.no_short)}
    spelled = {f"{kind.env_prefix}_{name}": key for name, key in {**options, **_COMMON}.items()}
    return {**{name: key for name, key in kind.aliases.items() if _is_own(kind, name)}, **spelled}


def _others(kind: ProviderType) -> dict[str, str]:
    """Return the aliases of another prefix."""
    return {name: key for name, key in kind.aliases.items() if not _is_own(kind, name)}


def _is_own(kind: ProviderType, name: str) -> bool:
    return name.startswith(f"{kind.env_prefix}_")
