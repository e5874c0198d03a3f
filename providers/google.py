"""Type `google`: Google accounts, kept to a company's by the claim `hd`; groups by a service account, since no token has them.

What differs: ID tokens name their issuer with and without `https://`; a refresh token comes only with `access_type=offline`, and on
later logins only with `prompt=consent`, which is therefore always asked (OFFLINE_ACCESS=silent leaves it out and accepts that grants
of a second login end with the hour); an e-mail counts only where `hd` equals its domain (rule B10); the parameter `hd` is a hint to
the page and the claim `hd` decides; nobody can be asked for an `acr` or to sign in again, only to choose an account. Scopes come
back as URLs and are not compared. There is no session to end. Revoking one token ends every token of that person and client, so no
single one can be given back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from providers import claims as read
from providers import google_groups
from providers.base import Check, Fault, ProviderSettings, ProviderType, UpstreamError, UpstreamRequest, Verdict
from providers.claims import Email, VerifiedClaims
from providers.console import Console
from providers.group_source import GroupSource
from providers.http import UpstreamHttp
from providers.lists import parse_list
from providers.oidc import OpenIdProvider
from providers.options import OPTIONS, Preset, Rule
from providers.options import faults as common_faults
from providers.signed_token import SignedClaims

ISSUER = "https://accounts.google.com"
_AUDIENCE = "Google Cloud console > Google Auth Platform > Audience"


def issuer_from(_options: Mapping[str, str]) -> str:
    """Return Google's one issuer."""
    return ISSUER


def issuer(signed: SignedClaims, settings: ProviderSettings) -> str:
    """Return the spelling of the issuer that the token uses, with or without its scheme; both are Google's own."""
    bare = settings.issuer.removeprefix("https://")
    return bare if signed.values.get("iss") == bare else settings.issuer


def hosted_domains(settings: ProviderSettings) -> tuple[str, ...]:
    """Return the domains of HOSTED_DOMAINS in lower case, none when it is not set; raises ValueError."""
    text = settings.options.get("hosted_domains")
    return tuple(domain.lower() for domain in parse_list(text)) if text else ()


def admit(sources: Sequence[VerifiedClaims], settings: ProviderSettings) -> None:
    """Refuse whoever is not of the hosted domains; an account without `hd` is of none."""
    allowed = hosted_domains(settings)
    if allowed and hosted_domain(sources) not in allowed:
        raise UpstreamError(Fault.DENIED, "hosted_domain")


def hosted_domain(sources: Sequence[VerifiedClaims]) -> str | None:
    """Return the Workspace domain that the account belongs to, None for an account of nobody's company."""
    value = next((value for claims in sources if (value := claims.values.get("hd")) is not None), None)
    return value.lower() if isinstance(value, str) else None


def email(sources: Sequence[VerifiedClaims]) -> Email | None:
    """Return the address, verified only where Google speaks for its domain."""
    found = read.email(sources)
    if found is None:
        return None
    domain = found.address.rpartition("@")[2].lower()
    return Email(found.address, found.verified and domain == hosted_domain(sources))


def parameters(request: UpstreamRequest, settings: ProviderSettings) -> Mapping[str, str]:
    """Return what Google wants beyond the standard, and take out what it does not know."""
    domains = hosted_domains(settings)
    mode = settings.options.get("offline_access") or "consent"
    choice = ["select_account"] if {"login", "select_account"} & set(request.prompt) else []
    consent = ["consent"] if mode == "consent" or "consent" in request.prompt else []
    return {
        "access_type": "" if mode == "never" else "offline",
        "prompt": "none" if "none" in request.prompt else " ".join(choice + consent),
        "hd": "*" if len(domains) > 1 else "".join(domains),
        "acr_values": "",
        "claims": "",
    }


def group_source(settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> GroupSource | None:
    """Return the directory, if a service account for it is configured."""
    return google_groups.source(settings, http, now) if settings.options.get("service_account_file") else None


def checks(settings: ProviderSettings) -> tuple[Check, ...]:
    """Judge what keeps strangers out."""
    domains = hosted_domains(settings)
    if domains:
        return (Check(name="who may sign in", status=Verdict.OK, detail=f"accounts of {', '.join(domains)}"),)
    detail = "HOSTED_DOMAINS is not set: everybody with a Google account, as far as this provider goes"
    fix = f"set HOSTED_DOMAINS to your Workspace domains; and User type Internal: {_AUDIENCE}"
    return (Check(name="who may sign in", status=Verdict.WARN, detail=detail, fix=fix),)


def _names_domains(settings: ProviderSettings) -> bool:
    try:
        return all("." in domain and "@" not in domain for domain in hosted_domains(settings))
    except ValueError:
        return False


def withholds(options: Mapping[str, str]) -> Mapping[str, str]:
    """Return what Google does not tell as it is set up, and the option it waits for: groups, told to a service account alone."""
    return {} if options.get("service_account_file") else {"group": "service_account_file"}


def _has_directory(settings: ProviderSettings) -> bool:
    return not settings.options.get("admin_subject") or bool(settings.options.get("service_account_file"))


RULES: tuple[Rule, ...] = (
    ("HOSTED_DOMAINS must list domains such as example.com", _names_domains),
    ("SERVICE_ACCOUNT_FILE must name the JSON key file of a service account", google_groups.is_usable),
    ("ADMIN_SUBJECT needs the SERVICE_ACCOUNT_FILE that acts for it", _has_directory),
)
faults = functools.partial(common_faults, more=RULES)

PRESET = Preset(
    wanted=(),
    groups=None,
    issuer=issuer,
    admit=admit,
    email=email,
    parameters=parameters,
    group_source=group_source,
    mismatch_marks=("/signin/oauth/error", "redirect_uri_mismatch"),
    console=Console(
        reach="PROXY and CA_FILE",
        takes_issuer=False,
        issuer=f"it is always {ISSUER}: leave ISSUER out",
        client="Google Cloud console > Google Auth Platform > Clients > (the client) > Client ID and Client secrets",
        redirect="Google Cloud console > Google Auth Platform > Clients > (the client) > Authorized redirect URIs",
        groups="make a service account, let it read groups, and set SERVICE_ACCOUNT_FILE (providers/README.md, Google)",
        logout="",
        key="Google takes no keys from clients: use a client secret",
        refresh="OFFLINE_ACCESS=consent, the default, asks for one at every login",
    ),
    rules=RULES,
    checks=checks,
)
TYPE = ProviderType(
    name="google",
    build=functools.partial(OpenIdProvider, PRESET),
    options=OPTIONS | {"hosted_domains", "service_account_file", "admin_subject"},
    env_prefix="GOOGLE",
    issuer_from=issuer_from,
    gives=frozenset({"user", "domain", "group", "amr"}),
    withholds=withholds,
    open_to_anyone=True,
    faults=faults,
)
