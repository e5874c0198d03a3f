"""Provider metadata (OpenID Connect Discovery 1.0 sections 3 and 4; security rule B7): exact issuer, safe endpoints, last good kept.

Nothing here loosens a check: signature algorithms are intersected with our own list, PKCE is not asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.base import Fault, ProviderSettings, UpstreamError
from providers.http import UpstreamHttp, document
from providers.kept import Fetched
from providers.signed_token import ALGORITHMS
from providers.urls import is_endpoint

FRESH_FOR = 3600  # seconds
_SUFFIX = "/.well-known/openid-configuration"
_DEFAULT_ALGORITHMS = ("RS256",)  # what every provider must support (Core section 15.1)
_DEFAULT_AUTH_METHODS = ("client_secret_basic",)  # Discovery section 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a login needs to know about a provider."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: frozenset[str]
    auth_methods: tuple[str, ...]
    iss_in_response: bool  # RFC 9207 section 3
    revocation_endpoint: str | None = None  # RFC 8414 section 2
    end_session_endpoint: str | None = None  # RP-Initiated Logout section 2.1
    scopes: frozenset[str] = frozenset()
    claims_parameter: bool = False  # Core section 5.5


async def fetch(http: UpstreamHttp, settings: ProviderSettings, issuer: str | None = None) -> Fetched[Metadata]:
    """Return the provider's metadata from the network, with the issuer as `read_metadata` takes it; raises UpstreamError."""
    response = await http.get_json(discovery_url(settings), operation="discovery")
    return Fetched(read_metadata(document(response, "discovery"), settings, issuer), FRESH_FOR)


def discovery_url(settings: ProviderSettings) -> str:
    """Return where the metadata is: under the issuer (Discovery section 4.1), unless the settings name another place."""
    return settings.options.get("discovery_url") or settings.issuer.removesuffix("/") + _SUFFIX


def read_metadata(found: Mapping[str, Any], settings: ProviderSettings, issuer: str | None = None) -> Metadata:
    """Return the metadata in a discovery document; raises UpstreamError unless the issuer is ours and every endpoint safe. Pure.

    `issuer` is what the document must say where that is not the configured issuer: a template (rule B9).
    """
    if found.get("issuer") != (issuer or settings.issuer):  # byte for byte, Discovery section 4.3
        raise UpstreamError(Fault.OPERATOR, "discovery_issuer")
    endpoints = {name: found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    userinfo = found.get("userinfo_endpoint")
    if not all(is_endpoint(url, loopback=settings.loopback) for url in endpoints.values()):
        raise UpstreamError(Fault.PROTOCOL, "discovery_endpoint")
    if userinfo is not None and not is_endpoint(userinfo, loopback=settings.loopback):
        raise UpstreamError(Fault.PROTOCOL, "discovery_endpoint")
    algorithms = ALGORITHMS & set(_words(found, "id_token_signing_alg_values_supported", _DEFAULT_ALGORITHMS))
    if not algorithms:
        raise UpstreamError(Fault.OPERATOR, "discovery_algorithms")
    optional = {name: found.get(name) for name in ("revocation_endpoint", "end_session_endpoint")}
    usable = {name: url for name, url in optional.items() if is_endpoint(url, loopback=settings.loopback)}
    return Metadata(
        authorization_endpoint=str(endpoints["authorization_endpoint"]),
        token_endpoint=str(endpoints["token_endpoint"]),
        jwks_uri=str(endpoints["jwks_uri"]),
        userinfo_endpoint=userinfo,
        algorithms=algorithms,
        auth_methods=_words(found, "token_endpoint_auth_methods_supported", _DEFAULT_AUTH_METHODS),
        iss_in_response=found.get("authorization_response_iss_parameter_supported") is True,
        revocation_endpoint=usable.get("revocation_endpoint"),  # an unsafe one is as good as none
        end_session_endpoint=usable.get("end_session_endpoint"),
        scopes=frozenset(_words(found, "scopes_supported", ())),
        claims_parameter=found.get("claims_parameter_supported") is True,
    )


def _words(found: Mapping[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    values = found.get(name)
    if not isinstance(values, list):
        return default
    return tuple(value for value in values if isinstance(value, str))
