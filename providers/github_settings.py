"""The settings of type `github`, judged and read: github.com, a GHE.com subdomain or an Enterprise Server. Pure.

Endpoints are hard-coded under the base URL: GitHub's metadata document is a preview, and wrong outside github.com.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from providers.base import ProviderSettings, ProviderSettingsError
from providers.lists import parse_list
from providers.urls import is_endpoint

OPTIONS = frozenset({"allowed_orgs", "api_url", "base_url", "require_iss", "trust_email_verified"})
SCOPES = ("read:user", "user:email", "read:org")
_PUBLIC = "https://github.com"
_DATA_RESIDENCY = ".ghe.com"
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 appendix A.4
_ORGANIZATION = re.compile(r"org:[1-9][0-9]{0,18}|[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_SWITCH = (None, "", "true", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubOptions:
    """The settings as the adapter uses them.

    `issuer` is the value of `iss` in the callback and names the host in identities. `allowed_orgs` holds `org:<id>` and logins in
    lower case (None: no such restriction). `vouches_for_email`: what this host calls verified, it verified.
    """

    base_url: str
    api_url: str
    issuer: str
    scopes: tuple[str, ...]
    allowed_orgs: frozenset[str] | None
    require_iss: bool
    vouches_for_email: bool

    @property
    def authorization_endpoint(self) -> str:
        """Where the browser is sent."""
        return f"{self.base_url}/login/oauth/authorize"

    @property
    def token_endpoint(self) -> str:
        """Where codes and refresh tokens are redeemed."""
        return f"{self.base_url}/login/oauth/access_token"


def issuer_from(options: Mapping[str, str]) -> str:
    """Return the issuer of the host that `base_url` names, github.com by default (RFC 9207 section 2, as GitHub fills it)."""
    return f"{_base_url(options)}/login/oauth"


def read_options(settings: ProviderSettings) -> GitHubOptions:
    """Return the options; raises ProviderSettingsError with every fault at once."""
    found = faults(settings)
    if found:
        raise ProviderSettingsError(f"provider {settings.id}: " + "; ".join(found))
    given, base_url = settings.options, _base_url(settings.options)
    hosted = base_url == _PUBLIC or base_url.endswith(_DATA_RESIDENCY)  # by GitHub, which confirms addresses by e-mail
    return GitHubOptions(
        base_url=base_url,
        api_url=(given.get("api_url") or _api_url(base_url)).rstrip("/"),
        issuer=settings.issuer,
        scopes=settings.scopes or SCOPES,
        allowed_orgs=frozenset(_organizations(given["allowed_orgs"])) if given.get("allowed_orgs") else None,
        require_iss=_switch(given, "require_iss", default=base_url == _PUBLIC),  # where GitHub's metadata announces it
        vouches_for_email=_switch(given, "trust_email_verified", default=hosted),
    )


def faults(settings: ProviderSettings) -> tuple[str, ...]:
    """Return a sentence for each setting that cannot be used."""
    return tuple(sentence for sentence, is_good in _RULES if not is_good(settings))


def _base_url(options: Mapping[str, str]) -> str:
    return (options.get("base_url") or _PUBLIC).rstrip("/").lower()


def _api_url(base_url: str) -> str:
    if base_url == _PUBLIC:
        return "https://api.github.com"
    scheme, _, host = base_url.partition("://")
    return f"{scheme}://api.{host}" if host.endswith(_DATA_RESIDENCY) else f"{base_url}/api/v3"


def _organizations(text: str) -> tuple[str, ...]:
    """Return logins in lower case, as GitHub compares them, and ids; raises ValueError."""
    names = parse_list(text)
    if not all(_ORGANIZATION.fullmatch(name) for name in names):
        raise ValueError("not organisations")
    return tuple(name.lower() for name in names)


def _switch(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    return options[name] == "true" if options.get(name) else default


def _is_host(settings: ProviderSettings) -> bool:
    url = _base_url(settings.options)
    return is_endpoint(url, loopback=settings.loopback) and not urlsplit(url).path and "?" not in url


def _is_api(settings: ProviderSettings) -> bool:
    url = settings.options.get("api_url")
    return not url or (is_endpoint(url, loopback=settings.loopback) and "?" not in url)


def _names_organizations(settings: ProviderSettings) -> bool:
    try:
        return not settings.options.get("allowed_orgs") or bool(_organizations(settings.options["allowed_orgs"]))
    except ValueError:
        return False


_RULES: tuple[tuple[str, Callable[[ProviderSettings], bool]], ...] = (
    ("BASE_URL must be https://host without a path (http only to loopback, from a broker on loopback)", _is_host),
    ("API_URL must be an https URL without query (http only to loopback, from a broker on loopback)", _is_api),
    (
        "ISSUER must be left out: it follows from BASE_URL",
        lambda s: s.issuer == issuer_from(s.options) or not _is_host(s),
    ),
    ("CLIENT_ID is missing", lambda s: bool(s.client_id)),
    ("CLIENT_SECRET is missing: GitHub redeems no code without it", lambda s: bool(s.client_secret)),
    (
        "SCOPES must be scopes with commas between them, such as read:user,read:org",
        lambda s: all(_SCOPE.fullmatch(scope) for scope in s.scopes or ()),
    ),
    ("ALLOWED_ORGS must list organisations, each by its login or as org:<id>", _names_organizations),
    ("REQUIRE_ISS must be true or false", lambda s: s.options.get("require_iss") in _SWITCH),
    ("TRUST_EMAIL_VERIFIED must be true or false", lambda s: s.options.get("trust_email_verified") in _SWITCH),
)
