"""Policy rules as architecture.md section 7 states them. What is unknown never helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model import Client, ClientSource, Identity, Resource
from broker.policy import AccessRequest, Decision, Policy, domain_of
from broker.settings import PolicyRule, ProviderConfig, Settings
from providers.base import ProviderSettings

FILES = Resource(
    id="files",
    url="https://files.example.com/mcp",
    name="Files",
    scopes={"files:read": "Read files", "files:write": "Change files"},
    default_scopes=("files:read",),
)
CLIENT = Client(client_id="app", name="App", source=ClientSource.REGISTERED, redirect_uris=("https://app.example/cb",))
ALICE = Identity(
    subject="u_alice",
    provider="corp",
    upstream_issuer="https://idp.example.com",
    upstream_subject="42",
    auth_time=1000,
    email="alice@corp.example",
    email_verified=True,
    groups=("/eng/backend", "staff"),
)
UNKNOWN = replace(ALICE, groups=None, groups_unknown="claim_absent")


def provider(**changes: Any) -> ProviderConfig:
    adapter = ProviderSettings(
        id="corp", type="oidc", display_name="Corp", issuer="https://idp.example.com", client_id="broker"
    )
    return replace(ProviderConfig(adapter=adapter), **changes)


def decide(
    *rules: PolicyRule,
    identity: Identity = ALICE,
    scopes: tuple[str, ...] = ("files:read", "files:write"),
    resource: Resource = FILES,
    config: ProviderConfig | None = None,
) -> Decision:
    settings = Settings(
        issuer="https://broker.example.com", providers=(config or provider(),), resources=(resource,), policy=rules
    )
    request = AccessRequest(identity=identity, client=CLIENT, resource=resource, scopes=scopes, now=2000)
    return Policy(settings).decide(request)


def test_without_rules_whoever_may_sign_in_gets_what_they_consent_to():
    decision = decide()
    assert decision.allowed
    assert decision.scopes == ("files:read", "files:write")


def test_with_rules_no_match_refuses_and_says_so():
    decision = decide(PolicyRule(name="ops", group=("ops",)))
    assert not decision.allowed
    assert decision.rule == "no match"
    assert "files" in decision.reason


def test_matching_allow_rules_add_up():
    read = PolicyRule(name="read", group=("staff",), scopes=("files:read",))
    write = PolicyRule(name="write", domain=("corp.example",), scopes=("files:write",))
    assert decide(read).scopes == ("files:read",)
    assert decide(read, write).scopes == ("files:read", "files:write")
    assert decide(read, write).rule == "read, write"


def test_a_matching_deny_refuses_and_is_named():
    decision = decide(PolicyRule(name="all"), PolicyRule(name="no-app", effect="deny", client=("app",)))
    assert not decision.allowed
    assert decision.rule == "no-app"


def test_a_deny_with_scopes_takes_only_those_away():
    decision = decide(PolicyRule(name="all"), PolicyRule(name="ro", effect="deny", scopes=("files:write",)))
    assert decision.scopes == ("files:read",)


def test_every_named_condition_must_hold():
    rule = PolicyRule(name="both", group=("staff",), domain=("other.example",))
    assert not decide(rule).allowed


def test_unknown_groups_meet_no_allow_and_every_deny():
    """Decision "groups": unknown fails closed."""
    assert not decide(PolicyRule(name="a", group=("*",)), identity=UNKNOWN).allowed
    deny = PolicyRule(name="d", effect="deny", group=("contractors",))
    assert not decide(PolicyRule(name="all"), deny, identity=UNKNOWN).allowed
    assert decide(PolicyRule(name="all"), deny).allowed


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("/eng/*", True),
        ("/eng/backend", True),
        ("/*", False),
        ("/ENG/*", False),
        ("*", True),
        ("sta*", True),
        ("eng", False),
    ],
)
def test_group_globs_are_case_sensitive_and_stop_at_a_slash(pattern: str, matches: bool):  # noqa: FBT001
    assert decide(PolicyRule(name="g", group=(pattern,))).allowed is matches


@pytest.mark.parametrize(
    "identity",
    [
        replace(ALICE, email_verified=False),
        replace(ALICE, email=None),
        replace(ALICE, email="alice@corp.example@evil.example"),
    ],
)
def test_an_unverified_or_odd_email_gives_no_domain_to_an_allow(identity: Identity):
    """Security rule B10."""
    assert not decide(PolicyRule(name="d", domain=("corp.example",)), identity=identity).allowed
    assert not decide(PolicyRule(name="u", user=("alice@corp.example",)), identity=identity).allowed


def test_a_deny_counts_an_email_as_claimed_and_an_absent_one_meets_a_domain():
    deny = PolicyRule(name="d", effect="deny", domain=("corp.example",))
    everyone = PolicyRule(name="all")
    assert not decide(everyone, deny, identity=replace(ALICE, email_verified=False)).allowed
    assert not decide(everyone, deny, identity=replace(ALICE, email=None)).allowed
    assert decide(everyone, deny, identity=replace(ALICE, email="a@other.example")).allowed


def test_email_domains_limit_what_the_provider_speaks_for():
    config = provider(email_domains=("corp.example",))
    rule = PolicyRule(name="d", domain=("partner.example",))
    assert not decide(rule, identity=replace(ALICE, email="x@partner.example"), config=config).allowed
    assert decide(PolicyRule(name="d", domain=("corp.example",)), config=config).allowed


def test_user_means_our_subject_the_upstream_subject_or_a_verified_email():
    for user in ("u_alice", "42", "Alice@corp.example"):
        assert decide(PolicyRule(name="u", user=(user,))).allowed
    assert not decide(PolicyRule(name="u", user=("u_bob",))).allowed


def test_allowed_domains_bar_the_sign_in_and_name_the_setting():
    decision = decide(config=provider(allowed_domains=("else.example",)))
    assert not decision.allowed
    assert decision.rule == "sign-in"
    assert "BROKER_PROVIDERS__CORP__ALLOWED_DOMAINS" in decision.reason


def test_allowed_groups_fail_closed_when_groups_are_unknown():
    config = provider(allowed_groups=("staff",))
    assert decide(config=config).allowed
    assert "claim_absent" in decide(config=config, identity=UNKNOWN).reason
    assert not decide(config=config, identity=replace(ALICE, groups=())).allowed


def test_a_provider_that_is_gone_ends_its_grants():
    assert not decide(identity=replace(ALICE, provider="former")).allowed


def test_only_permitted_scopes_are_granted_and_none_refuses():
    rule = PolicyRule(name="read", scopes=("files:read",))
    assert decide(rule, scopes=("files:write", "files:read")).scopes == ("files:read",)
    assert not decide(rule, scopes=("files:write",)).allowed
    assert not decide(scopes=()).allowed


def test_the_shortest_lifetime_of_the_matching_rules_wins():
    rules = (
        PolicyRule(name="a", access_token_ttl=300, refresh_token_ttl=7200),
        PolicyRule(name="b", access_token_ttl=60),
        PolicyRule(name="c", user=("nobody",), access_token_ttl=1),
    )
    decision = decide(*rules)
    assert (decision.access_token_ttl, decision.refresh_token_ttl) == (60, 7200)
    assert decide(resource=replace(FILES, access_token_ttl=30)).access_token_ttl == 30


def test_resource_conditions_take_an_id_or_a_url():
    assert decide(PolicyRule(name="r", resource=("files",))).allowed
    assert decide(PolicyRule(name="r", resource=(FILES.url,))).allowed
    assert not decide(PolicyRule(name="r", resource=("mail",))).allowed


@given(st.text(max_size=30))
def test_a_domain_is_lower_case_and_never_empty(text: str):
    domain = domain_of(text)
    assert domain is None or (domain == domain.lower() and domain and "@" not in domain)


@given(st.lists(st.sampled_from(["files:read", "files:write"]), unique=True), st.booleans())
def test_never_more_than_asked_and_never_more_than_the_resource_has(asked: list[str], with_rule: bool):  # noqa: FBT001
    """Security rule C10."""
    rules = (PolicyRule(name="r", scopes=("files:read", "other:scope")),) if with_rule else ()
    decision = decide(*rules, scopes=tuple(asked))
    assert set(decision.scopes) <= set(asked) & set(FILES.scopes)
    assert decision.allowed is bool(decision.scopes)
