"""A small company to decide about: one MCP server, one app, Alice, and the shortest way to a decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from broker.model import Client, ClientSource, Identity, Requirement, Resource
from broker.policy import AccessRequest, Decision, Explanation, Policy
from broker.settings import PolicyRule, ProviderConfig, Settings
from providers.base import ProviderSettings

NOW = 2000
READ, WRITE = "files:read", "files:write"
FILES = Resource(
    id="files",
    url="https://files.example.com/mcp",
    name="Files",
    scopes={READ: "Read files", WRITE: "Change files"},
    default_scopes=(READ,),
)
CLIENT = Client(client_id="app", name="App", source=ClientSource.REGISTERED, redirect_uris=("https://app.example/cb",))
ALICE = Identity(
    subject="u_alice",
    provider="corp",
    upstream_issuer="https://idp.example.com",
    upstream_subject="42",
    auth_time=NOW - 1000,
    auth_time_stated=True,
    acr="1",
    amr=("pwd",),
    email="alice@corp.example",
    email_verified=True,
    groups=("/eng/backend", "staff"),
    attributes={"role": ("editor",), "tenant": ("t-1",), "organization": ("acme", "org:7")},
)
STRANGER = replace(  # of whom nothing is known but that they signed in
    ALICE,
    auth_time_stated=False,
    acr=None,
    amr=None,
    email=None,
    email_verified=False,
    groups=None,
    groups_unknown="claim_absent",
    attributes={},
)


def person(**changes: Any) -> Identity:
    """Return Alice, changed."""
    return replace(ALICE, **changes)


def rule(name: str = "rule", **conditions: Any) -> PolicyRule:
    """Return a rule; `allow` unless it says otherwise."""
    return PolicyRule(name=name, **conditions)


def deny(name: str = "no", **conditions: Any) -> PolicyRule:
    """Return a `deny`."""
    return PolicyRule(name=name, effect="deny", **conditions)


EVERYBODY = rule("all")


def provider(**changes: Any) -> ProviderConfig:
    """Return the provider `corp`, changed."""
    adapter = ProviderSettings(
        id="corp", type="oidc", display_name="Corp", issuer="https://idp.example.com", client_id="broker"
    )
    return replace(ProviderConfig(adapter=adapter), **changes)


def requiring(*acr: str, max_login_age: int | None = None) -> Resource:
    """Return the MCP server with demands on the sign-in."""
    return replace(FILES, require=Requirement(acr=acr, max_login_age=max_login_age))


def policy(*rules: PolicyRule, resource: Resource = FILES, config: ProviderConfig | None = None) -> Policy:
    """Return a policy of these rules."""
    return Policy(
        Settings(
            issuer="https://broker.example.com", providers=(config or provider(),), resources=(resource,), policy=rules
        )
    )


def asking(
    identity: Identity = ALICE, *, scopes: tuple[str, ...] = (READ, WRITE), resource: Resource = FILES
) -> AccessRequest:
    """Return a request for these scopes."""
    return AccessRequest(identity=identity, client=CLIENT, resource=resource, scopes=scopes, now=NOW)


def decide(
    *rules: PolicyRule,
    identity: Identity = ALICE,
    scopes: tuple[str, ...] = (READ, WRITE),
    resource: Resource = FILES,
    config: ProviderConfig | None = None,
) -> Decision:
    """Return the decision about one request."""
    return policy(*rules, resource=resource, config=config).decide(asking(identity, scopes=scopes, resource=resource))


def explained(
    *rules: PolicyRule,
    identity: Identity = ALICE,
    scopes: tuple[str, ...] = (READ, WRITE),
    resource: Resource = FILES,
    config: ProviderConfig | None = None,
) -> Explanation:
    """Return the explanation of one decision."""
    return policy(*rules, resource=resource, config=config).explain(asking(identity, scopes=scopes, resource=resource))
