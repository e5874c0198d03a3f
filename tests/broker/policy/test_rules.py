"""What rules add up to (architecture, section 7, "Policy rules")."""

from __future__ import annotations

from dataclasses import replace

from broker.settings import Settings
from tests.broker.policy.world import (
    ALICE,
    EVERYBODY,
    FILES,
    READ,
    STRANGER,
    WRITE,
    asking,
    decide,
    deny,
    person,
    policy,
    provider,
    rule,
)


def test_without_rules_whoever_may_sign_in_gets_what_they_consent_to():
    decision = decide()
    assert decision.allowed
    assert decision.scopes == (READ, WRITE)
    assert (decision.rule, decision.reason, decision.step_up) == ("no rules", "permitted", None)


def test_with_rules_no_match_refuses_and_says_so():
    decision = decide(rule("ops", group=("ops",)))
    assert not decision.allowed
    assert decision.rule == "no match"
    assert decision.reason == "no allow rule matches this person on files"
    assert (decision.scopes, decision.access_token_ttl, decision.refresh_token_ttl) == ((), 0, 0)


def test_only_a_deny_that_does_not_match_is_no_permission():
    """A list of `deny` rules alone permits nothing: no match refuses."""
    assert decide(deny(group=("ops",))).rule == "no match"
    assert decide(deny(group=("staff",))).rule == "no match"


def test_matching_allow_rules_add_up():
    read = rule("read", group=("staff",), scopes=(READ,))
    write = rule("write", domain=("corp.example",), scopes=(WRITE,))
    assert decide(read).scopes == (READ,)
    assert decide(read, write).scopes == (READ, WRITE)
    assert decide(read, write).rule == "read, write"


def test_a_matching_deny_refuses_and_is_named():
    decision = decide(EVERYBODY, deny("no-app", client=("app",)))
    assert not decision.allowed
    assert decision.rule == "no-app"
    assert decision.reason == "deny rule no-app matches this person on files"


def test_a_deny_with_scopes_takes_only_those_away():
    decision = decide(EVERYBODY, deny("ro", scopes=(WRITE,)))
    assert decision.scopes == (READ,)
    assert decision.rule == "all, ro"


def test_denies_wherever_they_stand_are_stronger_than_allows():
    assert not decide(deny("first"), EVERYBODY).allowed
    assert not decide(deny("read", scopes=(READ,)), EVERYBODY, deny("write", scopes=(WRITE,))).allowed


def test_every_named_condition_must_hold():
    assert not decide(rule(group=("staff",), domain=("other.example",))).allowed
    assert decide(rule(group=("other", "staff"), domain=("other.example", "corp.example"))).allowed


def test_allowed_domains_bar_the_sign_in_and_name_the_setting():
    decision = decide(config=provider(allowed_domains=("else.example",)))
    assert not decision.allowed
    assert decision.rule == "sign-in"
    assert "BROKER_PROVIDERS__CORP__ALLOWED_DOMAINS" in decision.reason
    assert decide(config=provider(allowed_domains=("corp.example",))).allowed
    assert not decide(config=provider(allowed_domains=("corp.example",)), identity=person(email_verified=False)).allowed
    assert policy(config=provider(allowed_domains=("else.example",))).may_sign_in(ALICE) == decision.reason
    assert policy().may_sign_in(ALICE) is None


def test_allowed_groups_fail_closed_when_groups_are_unknown():
    config = provider(allowed_groups=("staff",))
    assert decide(config=config).allowed
    assert "claim_absent" in decide(config=config, identity=STRANGER).reason
    assert "holds none" in decide(config=config, identity=person(groups=())).reason


def test_a_provider_that_is_gone_ends_its_grants():
    decision = decide(identity=person(provider="former"))
    assert decision.reason == "provider former is not configured any more"
    assert policy().asked_at_once("former", FILES) == ()


def test_only_permitted_scopes_are_granted_and_none_refuses():
    read = rule("read", scopes=(READ,))
    assert decide(read, scopes=(WRITE, READ)).scopes == (READ,)
    refused = decide(read, scopes=(WRITE,))
    assert refused.rule == "read"
    assert refused.reason == "the matching rules permit none of the scopes asked (files:write)"
    assert not decide(scopes=()).allowed


def test_the_shortest_lifetime_of_the_matching_rules_wins():
    decision = decide(
        rule("a", access_token_ttl=300, refresh_token_ttl=7200),
        rule("b", access_token_ttl=60),
        rule("c", user=("nobody",), access_token_ttl=1),
        deny("d", scopes=(WRITE,), refresh_token_ttl=3600),
    )
    assert (decision.access_token_ttl, decision.refresh_token_ttl) == (60, 3600)
    assert decide(resource=replace(FILES, access_token_ttl=30)).access_token_ttl == 30
    assert decide(rule(access_token_ttl=99), resource=replace(FILES, access_token_ttl=30)).access_token_ttl == 30


def test_a_rule_over_scopes_that_the_resource_lacks_gives_nothing():
    assert not decide(rule(scopes=("mail:read",))).allowed
    assert decide(EVERYBODY, deny(scopes=("mail:read",))).scopes == (READ, WRITE)


def test_new_rules_decide_from_the_next_decision_on():
    """Changes take effect at the next refresh, without a restart."""
    holder = policy(rule("old", group=("staff",)))
    assert holder.decide(asking(ALICE)).allowed
    holder.replace_rules((rule("new", group=("ops",)),))
    assert holder.decide(asking(ALICE)).rule == "no match"
    assert [one.name for one in holder.rules] == ["new"]


def test_settings_without_providers_permit_nobody():
    from broker.policy import Policy  # noqa: PLC0415 - next to its use

    assert not Policy(Settings(issuer="https://broker.example.com")).decide(asking()).allowed
