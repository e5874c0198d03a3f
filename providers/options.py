"""The settings that OpenID Connect types take, judged and read. Pure.

A fault is a sentence for the administrator that names the setting and holds no value of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from providers.base import ProviderSettings, ProviderSettingsError
from providers.claims import Path, parse_path
from providers.token_request import AUTH_METHODS
from providers.urls import is_endpoint

OPTIONS = frozenset({"auth_method", "discovery_url", "groups_claim", "require_iss", "roles_claim", "userinfo"})
_USERINFO = ("auto", "always", "never")
_SWITCH = ("true", "false")
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 appendix A.4


def no_roles(_settings: ProviderSettings) -> tuple[Path, ...]:
    """Return no claim paths: for providers without a convention for roles."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What tells one kind of OpenID provider from another: data. `roles` returns where its role claims are."""

    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups: Path = ("groups",)
    roles: Callable[[ProviderSettings], tuple[Path, ...]] = no_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings as the adapter uses them. `require_iss` None: as the provider's metadata says."""

    scopes: tuple[str, ...]
    groups: Path
    roles: tuple[Path, ...]
    userinfo: str
    require_iss: bool | None


def read_options(preset: Preset, settings: ProviderSettings) -> Options:
    """Return the options over the preset; raises ProviderSettingsError with every fault at once."""
    found = faults(settings)
    if found:
        raise ProviderSettingsError(f"provider {settings.id}: " + "; ".join(found))
    given = settings.options
    scopes = settings.scopes or preset.scopes
    return Options(
        scopes=scopes if "openid" in scopes else ("openid", *scopes),  # without it there is no ID token
        groups=parse_path(given["groups_claim"]) if given.get("groups_claim") else preset.groups,
        roles=(parse_path(given["roles_claim"]),) if given.get("roles_claim") else preset.roles(settings),
        userinfo=given.get("userinfo") or "auto",
        require_iss=given["require_iss"] == "true" if given.get("require_iss") else None,
    )


def faults(settings: ProviderSettings) -> tuple[str, ...]:
    """Return a sentence for each setting that cannot be used."""
    return tuple(sentence for sentence, is_good in _RULES if not is_good(settings))


def _is_path(text: str | None) -> bool:
    try:
        return not text or bool(parse_path(text))
    except ValueError:
        return False


def _one_of(name: str, words: tuple[str, ...]) -> tuple[str, Callable[[ProviderSettings], bool]]:
    return (
        f"{name.upper()} must be one of {', '.join(words)}",
        lambda settings: settings.options.get(name) in (None, "", *words),
    )


def _secret_fits(settings: ProviderSettings) -> bool:
    return not settings.options.get("auth_method", "").startswith("client_secret") or bool(settings.client_secret)


_PATH_FORMS = (
    'a claim name, names with dots between, or a JSON list of names such as ["resource_access", "my.client", "roles"]'
)
_RULES: tuple[tuple[str, Callable[[ProviderSettings], bool]], ...] = (
    (
        "ISSUER must be an https URL without query (http only to loopback, from a broker on loopback)",
        lambda s: is_endpoint(s.issuer, loopback=s.loopback) and "?" not in s.issuer,
    ),
    (
        "DISCOVERY_URL must be an https URL (http only to loopback, from a broker on loopback)",
        lambda s: not s.options.get("discovery_url") or is_endpoint(s.options["discovery_url"], loopback=s.loopback),
    ),
    ("CLIENT_ID is missing", lambda s: bool(s.client_id)),
    ("CLIENT_SECRET is empty: leave it out for a public client", lambda s: s.client_secret != ""),
    ("SCOPES holds something that is no scope", lambda s: all(_SCOPE.fullmatch(scope) for scope in s.scopes or ())),
    (f"GROUPS_CLAIM must be {_PATH_FORMS}", lambda s: _is_path(s.options.get("groups_claim"))),
    (f"ROLES_CLAIM must be {_PATH_FORMS}", lambda s: _is_path(s.options.get("roles_claim"))),
    _one_of("auth_method", AUTH_METHODS),
    ("AUTH_METHOD needs a CLIENT_SECRET", _secret_fits),
    _one_of("userinfo", _USERINFO),
    _one_of("require_iss", _SWITCH),
)
