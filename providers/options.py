"""What tells one kind of OpenID provider from another, and the settings that all of them take: judged, and read.

A fault is a sentence for the administrator that names the setting and holds no value of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from providers import claims as read
from providers import client_auth
from providers.base import Check, ProviderSettings, ProviderSettingsError, UpstreamError, UpstreamRequest
from providers.claims import Email, Path, VerifiedClaims, parse_path
from providers.console import Console
from providers.discovery import Metadata
from providers.group_source import GroupSource
from providers.http import UpstreamHttp
from providers.id_token import subject
from providers.signed_token import SignedClaims
from providers.token_request import standard_error
from providers.urls import is_endpoint

OPTIONS = client_auth.OPTIONS | {
    "discovery_url", "groups_claim", "offline_access", "require_iss", "roles_claim", "userinfo",
}  # fmt: skip
OFFLINE = "offline_access"
_OFFLINE_MODES = ("consent", "silent", "never")
_USERINFO = ("auto", "always", "never")
_SWITCH = ("true", "false")
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 appendix A.4

Rule = tuple[str, Callable[[ProviderSettings], bool]]
Clock = Callable[[], int]


def no_roles(_settings: ProviderSettings) -> tuple[Path, ...]:
    """Return no claim paths: for providers without a convention for roles."""
    return ()


def announced_issuer(settings: ProviderSettings) -> str:
    """Return what the discovery document must say: the configured issuer, byte for byte."""
    return settings.issuer


def configured_issuer(_signed: SignedClaims, settings: ProviderSettings) -> str:
    """Return what `iss` of a token must be: the configured issuer, byte for byte."""
    return settings.issuer


def issuer_and_subject(claims: VerifiedClaims, settings: ProviderSettings) -> tuple[str, str]:
    """Return the identity: the configured issuer and `sub`."""
    return settings.issuer, subject(claims)


def admit_all(_sources: Sequence[VerifiedClaims], _settings: ProviderSettings) -> None:
    """Refuse nobody."""


def no_attributes(_sources: Sequence[VerifiedClaims]) -> Mapping[str, tuple[str, ...]]:
    """Return that nothing but roles is known."""
    return {}


def no_parameters(_request: UpstreamRequest, _settings: ProviderSettings) -> Mapping[str, str]:
    """Return that an authorization request needs nothing more."""
    return {}


def no_source(_settings: ProviderSettings, _http: UpstreamHttp, _now: Clock) -> GroupSource | None:
    """Return that groups are in a claim or nowhere."""
    return None


def advertised_logout(metadata: Metadata, _settings: ProviderSettings) -> str | None:
    """Return where a session is ended: as the metadata says."""
    return metadata.end_session_endpoint


def no_checks(_settings: ProviderSettings) -> tuple[Check, ...]:
    """Return that no setting of this type is worth a word of its own."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What tells one kind of OpenID provider from another: data, and pure functions where data does not do.

    `wanted` are scopes that are asked only where the metadata lists them; `offline` is how `offline_access` is asked by default
    (`consent`: with `prompt=consent`, as Core section 11 wants it). `groups` is the claim (None: none ever has them), `roles` are
    the claims. `userinfo` is whether it is asked by default. `metadata_issuer` is what the discovery document must say, `issuer` what a
    token's `iss` must be, `identity` who it is about; both may raise UpstreamError, as may `admit`,
    which refuses people whom the settings keep out. `email` reads the address as far as the provider speaks for it, `attributes` what
    a policy may ask beyond roles. `parameters` come on top of an authorization request's own (empty: removed). `group_source` is
    asked for the groups where there is one. `token_error` reads what the token endpoint says beyond the standard.
    `renewal_names_scopes`: a refresh names the scopes again (RFC 6749 section 6 lets it). `dead_refresh` is what the provider calls a
    refresh token that is dead.
    `assertion_names_endpoint`: our assertions name the endpoint as audience (rule B18). `rsa_algorithm` signs them.
    `logout_endpoint` is where a session is ended, `logout_return` the parameter that brings the browser back. `advertises_pkce`:
    whether its metadata speaks of S256 when it can do it. `mismatch_marks` tell, in what the authorization endpoint answers, that our
    redirect URI is not registered. `rules` judge settings at the start, `checks` for a diagnosis.
    """

    scopes: tuple[str, ...] = ("openid", "profile", "email")
    wanted: tuple[str, ...] = (OFFLINE,)
    offline: str = "silent"
    groups: Path | None = ("groups",)
    roles: Callable[[ProviderSettings], tuple[Path, ...]] = no_roles
    userinfo: str = "auto"
    metadata_issuer: Callable[[ProviderSettings], str] = announced_issuer
    issuer: Callable[[SignedClaims, ProviderSettings], str] = configured_issuer
    identity: Callable[[VerifiedClaims, ProviderSettings], tuple[str, str]] = issuer_and_subject
    admit: Callable[[Sequence[VerifiedClaims], ProviderSettings], None] = admit_all
    email: Callable[[Sequence[VerifiedClaims]], Email | None] = read.email
    attributes: Callable[[Sequence[VerifiedClaims]], Mapping[str, tuple[str, ...]]] = no_attributes
    parameters: Callable[[UpstreamRequest, ProviderSettings], Mapping[str, str]] = no_parameters
    group_source: Callable[[ProviderSettings, UpstreamHttp, Clock], GroupSource | None] = no_source
    token_error: Callable[[Mapping[str, object]], UpstreamError | None] = standard_error
    renewal_names_scopes: bool = False
    dead_refresh: str = "invalid_grant"
    assertion_names_endpoint: bool = False
    rsa_algorithm: str = "RS256"
    logout_return: str = "post_logout_redirect_uri"
    logout_endpoint: Callable[[Metadata, ProviderSettings], str | None] = advertised_logout
    advertises_pkce: bool = True
    mismatch_marks: tuple[str, ...] = ()
    console: Console = field(default_factory=Console)
    rules: tuple[Rule, ...] = ()
    checks: Callable[[ProviderSettings], tuple[Check, ...]] = no_checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings as the adapter uses them. `require_iss` None: as the provider's metadata says.

    `scopes` are asked always, `wanted` where the metadata lists them; `offline` is how `offline_access` is asked.
    """

    scopes: tuple[str, ...]
    wanted: tuple[str, ...]
    offline: str
    groups: Path | None
    roles: tuple[Path, ...]
    userinfo: str
    require_iss: bool | None


def read_options(preset: Preset, settings: ProviderSettings) -> Options:
    """Return the options over the preset; raises ProviderSettingsError with every fault at once."""
    found = faults(settings, preset.rules)
    if found:
        raise ProviderSettingsError(f"provider {settings.id}: " + "; ".join(found))
    given = settings.options
    scopes = settings.scopes or preset.scopes
    offline = given.get("offline_access") or preset.offline
    wanted = () if settings.scopes else tuple(s for s in preset.wanted if s != OFFLINE or offline != "never")
    return Options(
        scopes=scopes if "openid" in scopes else ("openid", *scopes),  # without it there is no ID token
        wanted=wanted,
        offline=offline,
        groups=parse_path(given["groups_claim"]) if given.get("groups_claim") else preset.groups,
        roles=(parse_path(given["roles_claim"]),) if given.get("roles_claim") else preset.roles(settings),
        userinfo=given.get("userinfo") or preset.userinfo,
        require_iss=given["require_iss"] == "true" if given.get("require_iss") else None,
    )


def faults(settings: ProviderSettings, more: tuple[Rule, ...] = ()) -> tuple[str, ...]:
    """Return a sentence for each setting that cannot be used; `more` are a type's own rules."""
    found = tuple(sentence for sentence, is_good in (*_RULES, *more) if not is_good(settings))
    return found + client_auth.faults(settings)


def one_of(name: str, words: tuple[str, ...]) -> Rule:
    """Return the rule that an option is one of some words, or left out."""
    return (
        f"{name.upper()} must be one of {', '.join(words)}",
        lambda settings: settings.options.get(name) in (None, "", *words),
    )


def _is_path(text: str | None) -> bool:
    try:
        return not text or bool(parse_path(text))
    except ValueError:
        return False


_PATH_FORMS = (
    'a claim name, names with dots between, or a JSON list of names such as ["resource_access", "my.client", "roles"]'
)
_RULES: tuple[Rule, ...] = (
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
    (
        "SCOPES must be scopes with commas between them, such as openid,profile",
        lambda s: all(_SCOPE.fullmatch(scope) for scope in s.scopes or ()),
    ),
    (f"GROUPS_CLAIM must be {_PATH_FORMS}", lambda s: _is_path(s.options.get("groups_claim"))),
    (f"ROLES_CLAIM must be {_PATH_FORMS}", lambda s: _is_path(s.options.get("roles_claim"))),
    one_of("userinfo", _USERINFO),
    one_of("require_iss", _SWITCH),
    one_of("offline_access", _OFFLINE_MODES),
)
