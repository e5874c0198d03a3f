"""Type `okta`: an Okta org, or one of its custom authorization servers, whose issuer is another (`/oauth2/default`).

Our assertions name the endpoint, as Okta wants them to (rule B18). The scope `groups` is asked where the server offers it; a custom one
has it only once it is made there. ID tokens of the code flow may be thin, and UserInfo fills them. No logout tokens are sent. Its
end-session endpoint answers 400 without `id_token_hint`, and an ID token stands in no answer of the broker (rule B13): no browser is
sent there.
"""

from __future__ import annotations

import functools

from providers.base import ProviderType
from providers.console import Console
from providers.oidc import RevocableProvider
from providers.options import OFFLINE, OPTIONS, Preset, faults

PRESET = Preset(
    wanted=(OFFLINE, "groups"),
    assertion_names_endpoint=True,
    console=Console(
        issuer="Security > API > Authorization Servers > Issuer URI, or https://(your org).okta.com for the org's own server",
        client="Applications > (the app) > General > Client Credentials; and the app must be assigned to people",
        redirect="Applications > (the app) > General > Login > Sign-in redirect URIs",
        groups=(
            "Applications > (the app) > Sign On > OpenID Connect ID Token > Edit > Groups claim filter: groups, Starts with, "
            "what your groups for MCP servers begin with (with more than 100 that match, Okta gives no token)"
        ),
        logout="",
        key="Applications > (the app) > General > Client Credentials > Public key / Private key > Add key",
        refresh="Applications > (the app) > General > Grant type: Refresh Token",
    ),
)
TYPE = ProviderType(name="okta", build=functools.partial(RevocableProvider, PRESET), options=OPTIONS, faults=faults)
