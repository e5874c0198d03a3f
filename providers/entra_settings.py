"""The settings of type `entra`, judged and read: one tenant, several, any organisation, anybody; the public cloud or a sovereign one. Pure.

TENANT is the tenant's id rather than one of its domains, so that the issuer is known before anybody is asked (security rule B9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from providers.base import Check, ProviderSettings, Verdict
from providers.lists import parse_list
from providers.options import Rule
from providers.urls import is_endpoint

PUBLIC = "https://login.microsoftonline.com"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of personal accounts
TEMPLATE = "{tenantid}"  # in the issuer of the shared endpoints and of their keys
_SHARED = ("organizations", "common")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GRAPHS = {
    PUBLIC: "https://graph.microsoft.com",
    "https://login.microsoftonline.us": "https://graph.microsoft.us",
    "https://login.partner.microsoftonline.cn": "https://microsoftgraph.chinacloudapi.cn",
}


def issuer_from(options: Mapping[str, str]) -> str | None:
    """Return the issuer of `tenant` at `authority`, which is also where discovery begins; None without a tenant."""
    tenant = _tenant(options)
    return f"{authority(options)}/{tenant}/v2.0" if tenant else None


def metadata_issuer(settings: ProviderSettings) -> str:
    """Return what the discovery document must say: for a shared endpoint a template, or the tenant of personal accounts."""
    tenant = _tenant(settings.options)
    named = {**dict.fromkeys(_SHARED, TEMPLATE), "consumers": PERSONAL}.get(tenant, tenant)
    return f"{authority(settings.options)}/{named}/v2.0"


def is_shared(options: Mapping[str, str]) -> bool:
    """Whether people of more than one tenant may come."""
    return _tenant(options) in _SHARED


def is_open(options: Mapping[str, str]) -> bool:
    """Whether strangers can sign in: at any endpoint that is not one tenant's own."""
    return not is_guid(_tenant(options))


def allowed_tenants(options: Mapping[str, str]) -> frozenset[str] | None:
    """Return the ids of ALLOWED_TENANTS in lower case, None when it is not set; raises ValueError."""
    text = options.get("allowed_tenants")
    if not text:
        return None
    tenants = frozenset(tenant.lower() for tenant in parse_list(text))
    if not all(is_guid(tenant) for tenant in tenants):
        raise ValueError("not ids of tenants")
    return tenants


def authority(options: Mapping[str, str]) -> str:
    """Return where people sign in, without a trailing slash."""
    return (options.get("authority") or PUBLIC).rstrip("/")


def graph_url(options: Mapping[str, str]) -> str:
    """Return where Graph is: as GRAPH_URL says, else that of the authority's cloud."""
    return (options.get("graph_url") or _GRAPHS.get(authority(options), _GRAPHS[PUBLIC])).rstrip("/")


def scopes(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the scopes of one resource, Graph, so that it answers about groups; in a sovereign cloud with Graph's own name."""
    graph = graph_url(options)
    return (
        "openid",
        "profile",
        "email",
        "offline_access",
        "User.Read" if graph == _GRAPHS[PUBLIC] else f"{graph}/User.Read",
    )


def is_guid(value: object) -> bool:
    """Whether a value is written as a tenant's or person's id."""
    return isinstance(value, str) and _GUID.fullmatch(value) is not None


def checks(settings: ProviderSettings) -> tuple[Check, ...]:
    """Judge what keeps strangers out, and what would tell that somebody left."""
    restriction = _restriction(settings)
    if settings.scopes is None or "offline_access" in settings.scopes:
        return (restriction,)
    detail = "SCOPES lack offline_access: there is nothing to re-check with, and grants end within the hour"
    return restriction, Check(
        name="offline access", status=Verdict.WARN, detail=detail, fix="leave SCOPES out, or add it"
    )


def _restriction(settings: ProviderSettings) -> Check:
    name, tenants = "who may sign in", allowed_tenants(settings.options)
    if tenants is not None:
        return Check(name=name, status=Verdict.OK, detail=f"people of {', '.join(sorted(tenants))}")
    if not is_open(settings.options):
        detail = "people and guests of this one tenant, as far as the app lets them"
        return Check(name=name, status=Verdict.OK, detail=detail)
    detail = f"TENANT is {_tenant(settings.options)} without ALLOWED_TENANTS: everybody with a Microsoft account of that kind"
    fix = "set ALLOWED_TENANTS to the tenants' ids, or TENANT to yours: Entra admin center > Overview > Tenant ID"
    return Check(name=name, status=Verdict.WARN, detail=detail, fix=fix)


def _tenant(options: Mapping[str, str]) -> str:
    return (options.get("tenant") or "").strip().lower()


def _is_tenant(settings: ProviderSettings) -> bool:
    tenant = _tenant(settings.options)
    return is_guid(tenant) or tenant in (*_SHARED, "consumers")


def _names_tenants(settings: ProviderSettings) -> bool:
    try:
        return allowed_tenants(settings.options) is None or is_shared(settings.options)
    except ValueError:
        return False


def _is_base(name: str) -> Rule:
    def holds(settings: ProviderSettings) -> bool:
        url = settings.options.get(name)
        return not url or (is_endpoint(url, loopback=settings.loopback) and "?" not in url)

    return (
        f"{name.upper()} must be an https URL without query (http only to loopback, from a broker on loopback)",
        holds,
    )


RULES: tuple[Rule, ...] = (
    ("TENANT must be the tenant's id (a GUID), or organizations, common or consumers", _is_tenant),
    ("ALLOWED_TENANTS must list ids of tenants (GUIDs), for TENANT organizations or common", _names_tenants),
    (
        "SCOPES must hold profile, without which nobody has an object id",
        lambda s: s.scopes is None or "profile" in s.scopes,
    ),
    _is_base("authority"),
    _is_base("graph_url"),
    ("ISSUER must be left out: it follows from TENANT and AUTHORITY", lambda s: s.issuer == issuer_from(s.options)),
)
