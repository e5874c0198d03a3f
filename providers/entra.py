"""Type `entra`: Microsoft Entra ID, one tenant or several, in the public cloud or a sovereign one.

What differs from OpenID Connect: shared endpoints announce a template for an issuer, and each key says whose issuer it may sign for
(security rule B9); a person is tenant and object id; an address is unverified (rule B10); a step-up is a claims challenge for an
authentication context; groups may only be had from Graph; refusals carry numbers. An access token is for Graph and opaque to us. A
refresh token outlives its successor, and none can be given back.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from providers import ending, entra_claims
from providers.base import (
    Callback,
    ProviderSettings,
    ProviderType,
    SpeaksFor,
    UpstreamIdentity,
    UpstreamRequest,
    UpstreamTokens,
)
from providers.claims import Path
from providers.console import Console
from providers.entra_errors import token_error
from providers.entra_groups import GraphGroups
from providers.entra_settings import RULES, checks, is_open, is_shared, issuer_from, metadata_issuer, scopes
from providers.group_source import GroupSource
from providers.http import UpstreamHttp
from providers.oidc import OpenIdProvider
from providers.options import OPTIONS, Preset
from providers.options import faults as common_faults
from providers.signed_token import read_unverified

_PROMPTS = ("none", "login", "select_account", "consent")  # one at a time, the strongest first
_APP = "Entra admin center > App registrations > (the app)"
CONSOLE = Console(
    reach="TENANT, AUTHORITY and PROXY",
    takes_issuer=False,
    issuer="set TENANT to the Directory (tenant) ID: Entra admin center > Overview; in another cloud also AUTHORITY",
    client=f"{_APP} > Overview > Application (client) ID, and Certificates & secrets > Client secrets (the value, not its id)",
    redirect=f"{_APP} > Authentication > Web > Redirect URIs",
    groups=f"{_APP} > API permissions > Microsoft Graph > User.Read, or Token configuration > Add groups claim",
    logout="",
    key=f"{_APP} > Certificates & secrets > Certificates or Federated credentials",
    refresh="leave SCOPES out, or add offline_access",
)


class EntraProvider(OpenIdProvider):
    """Entra ID, configured. Constructing it makes no request; raises ProviderSettingsError."""

    def __init__(self, settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> None:
        super().__init__(preset(settings), settings, http, now)

    async def identify(self, callback: Callback, request: UpstreamRequest) -> UpstreamIdentity:
        """Return the person as every OpenID provider does, with the authentication context that was asked and met."""
        identity = await super().identify(callback, request)
        token = identity.tokens.id_token if identity.tokens else None
        met = entra_claims.contexts(read_unverified(token)) if token else ()
        asked = next((context for context in request.acr_values if context in met), None)
        return replace(identity, acr=asked or next(iter(met), None))

    async def logout_url(self, tokens: UpstreamTokens | None, *, return_to: str) -> str | None:
        """Return where to send the browser to end the session at Microsoft."""
        return await ending.logout_url(self._registration, tokens, return_to=return_to)


def preset(settings: ProviderSettings) -> Preset:
    """Return what tells these settings' Entra from other providers."""
    return Preset(
        scopes=scopes(settings.options),
        wanted=(),
        roles=_app_roles,
        userinfo="never",  # it knows no object id
        metadata_issuer=metadata_issuer,
        issuer=entra_claims.issuer,
        identity=entra_claims.identity,
        admit=entra_claims.admit,
        email=functools.partial(entra_claims.email, shared=is_shared(settings.options)),
        attributes=entra_claims.attributes,
        parameters=parameters,
        group_source=_graph,
        token_error=token_error,
        renewal_names_scopes=True,
        assertion_names_endpoint=True,
        rsa_algorithm="PS256",
        advertises_pkce=False,
        mismatch_marks=("AADSTS50011", "AADSTS700016"),
        console=CONSOLE,
        rules=RULES,
        checks=checks,
    )


def parameters(request: UpstreamRequest, _settings: ProviderSettings) -> Mapping[str, str]:
    """Return what Entra wants otherwise: one prompt, a claims challenge for contexts, a new sign-in where its age matters."""
    wanted = {*request.prompt, *(("login",) if request.max_age is not None else ())}
    return {
        "response_mode": "query",
        "prompt": next((prompt for prompt in _PROMPTS if prompt in wanted), ""),
        "acr_values": "",
        "claims": challenge(request.acr_values),
    }


def challenge(values: tuple[str, ...]) -> str:
    """Return the claims parameter that demands authentication contexts (Conditional Access), empty for none."""
    if not values:
        return ""
    demanded = {"essential": True, **({"value": values[0]} if len(values) == 1 else {"values": list(values)})}
    return json.dumps({"id_token": {"acrs": demanded}}, separators=(",", ":"))


def faults(settings: ProviderSettings) -> tuple[str, ...]:
    """Return a sentence for each setting that cannot be used; an issuer that follows from a wrong one is not told apart."""
    found = common_faults(settings, RULES)
    derived = any(sentence.startswith(("TENANT ", "AUTHORITY ")) for sentence in found)
    return tuple(sentence for sentence in found if not (derived and sentence.startswith("ISSUER ")))


def _app_roles(_settings: ProviderSettings) -> tuple[Path, ...]:
    return (("roles",),)


def _graph(settings: ProviderSettings, http: UpstreamHttp, _now: Callable[[], int]) -> GroupSource:
    return GraphGroups(settings, http)


TYPE = ProviderType(
    name="entra",
    build=EntraProvider,
    options=(OPTIONS - {"userinfo"}) | {"allowed_tenants", "authority", "graph_url", "tenant"},
    env_prefix="ENTRA",
    aliases={
        "ENTRA_TENANT_ID": "tenant",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client_id",
        "AZURE_CLIENT_SECRET": "client_secret",
        "AZURE_AUTHORITY_HOST": "authority",
        "AZURE_FEDERATED_TOKEN_FILE": "federated_token_file",
    },
    issuer_from=issuer_from,
    gives=frozenset({"user", "domain", "tenant", "group", "role", "acr", "auth_time"}),
    speaks_for=SpeaksFor.VOUCHED,
    open_to_anyone=is_open,
    faults=faults,
)
