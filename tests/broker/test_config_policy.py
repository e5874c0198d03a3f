"""Policy rules as they are written (architecture, section 7, "Policy rules")."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broker.config import examine
from broker.config.policy import unmet_rules
from broker.settings import PolicyRule
from providers.base import ProviderType
from providers.registry import provider_types
from tests.broker.settings_input import LOCAL, load_from, only_fault, refused

ONE = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b", "OIDC_CLIENT_SECRET": "s"}
TWO = {**ONE, "KEYCLOAK_ISSUER": "https://kc.example.com", "KEYCLOAK_CLIENT_ID": "b", "KEYCLOAK_CLIENT_SECRET": "s"}
FILES = {
    "BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp",
    "BROKER_RESOURCES__FILES__SCOPES": '{"files:read": "Read", "files:write": "Write"}',
}


def rules(*written: dict[str, Any]) -> dict[str, str]:
    return {"BROKER_POLICY": json.dumps(written)}


def test_a_rule_says_who_gets_what_for_how_long() -> None:
    (rule,) = load_from(
        {
            **ONE,
            **FILES,
            **rules(
                {
                    "name": "readers",
                    "effect": "allow",
                    "resource": "files",
                    "provider": ["oidc"],
                    "client": ["app", "https://client.example/metadata"],
                    "user": "alice@example.com",
                    "domain": ["Example.com"],
                    "tenant": "t-1",
                    "organization": ["acme", "org:7"],
                    "group": ["eng/*", "staff"],
                    "role": "editor",
                    "acr": ["gold"],
                    "amr": "hwk",
                    "max_login_age": "12h",
                    "scopes": ["files:read"],
                    "access_token_ttl": "5m",
                    "refresh_token_ttl": 3600,
                }
            ),
        }
    ).policy

    assert rule == PolicyRule(
        name="readers",
        resource=("https://files.example.com/mcp",),
        provider=("oidc",),
        client=("app", "https://client.example/metadata"),
        user=("alice@example.com",),
        domain=("example.com",),
        tenant=("t-1",),
        organization=("acme", "org:7"),
        group=("eng/*", "staff"),
        role=("editor",),
        acr=("gold",),
        amr=("hwk",),
        max_login_age=43200,
        scopes=("files:read",),
        access_token_ttl=300,
        refresh_token_ttl=3600,
    )


def test_rules_in_the_file_are_tables_in_their_order() -> None:
    toml = '[[policy]]\ngroup = "CN=staff,OU=x"\n[[policy]]\neffect = "deny"\nuser = "mallory@example.com"'
    first, second = load_from(ONE, toml=toml).policy

    assert (first.name, first.group) == ("rule 1", ("CN=staff,OU=x",))
    assert (second.name, second.effect, second.scopes) == ("rule 2", "deny", None)


@pytest.mark.parametrize("condition", ["group", "role", "organization", "tenant", "acr", "amr"])
def test_a_rule_on_what_strangers_may_choose_names_its_provider_where_there_are_several(condition: str) -> None:
    """Strangers choose GitHub's organisation names, and the names of groups elsewhere."""
    assert "names no provider" in only_fault({**TWO, **rules({condition: "staff"})})[2]
    assert "names no provider" in only_fault({**TWO, **rules({condition: "staff", "effect": "deny"})})[2]
    assert load_from({**TWO, **rules({condition: "staff", "provider": "oidc"})}).policy
    assert load_from({**ONE, **rules({condition: "staff"})}).policy


@pytest.mark.parametrize("condition", ["user", "domain", "client", "max_login_age"])
def test_a_rule_on_anything_else_need_not(condition: str) -> None:
    value = "12h" if condition == "max_login_age" else "a.example"
    assert load_from({**TWO, **rules({condition: value})}).policy


def test_an_upstream_subject_without_its_provider_is_worth_a_warning() -> None:
    """Two providers may give one subject to two people."""
    (warning,) = load_from({**TWO, **rules({"user": ["42", "u_abc", "a@example.com"]})}).warnings[:1]
    assert '"42" and no provider' in warning
    for settled in ({"user": "42", "provider": "oidc"}, {"user": "42", "effect": "deny"}, {"user": "u_abc"}):
        assert not [w for w in load_from({**TWO, **rules(settled)}).warnings if "no provider" in w]
    assert not [w for w in load_from({**ONE, **rules({"user": "42"})}).warnings if "no provider" in w]


def test_only_an_allow_is_about_the_age_of_a_login() -> None:
    assert "only an allow" in only_fault({**ONE, **rules({"effect": "deny", "max_login_age": "1h"})})[2]


@pytest.mark.parametrize(
    ("rule", "mend"),
    [
        ({"grop": "staff"}, "write group"),
        ({"effect": "alow"}, "write allow"),
        ({"resource": "flies"}, "write files"),
        ({"resource": "https://other.example.com"}, "write a resource's id or URL"),
        ({"provider": "odic"}, "write oidc"),
        ({"scopes": ["files:raed"]}, "write files:read"),
        ({"scopes": []}, "name at least one value"),
        ({"group": []}, "name at least one value"),
        ({"group": [1]}, "JSON list of strings"),
        ({"user": ""}, "give it a value"),
        ({"domain": "@example.com"}, "without @"),
        ({"domain": "https://example.com"}, "without @"),
        ({"access_token_ttl": "soon"}, "whole seconds"),
        ({"max_login_age": "0"}, "at least 1 seconds"),
        ({"max_login_age": ["1h"]}, "in quotes"),
        ({"organisation": "acme"}, "write organization"),
        ({"acr": []}, "name at least one value"),
        ({"name": 1}, "as text"),
    ],
)
def test_a_rule_that_says_something_else_than_meant_is_refused(rule: dict[str, Any], mend: str) -> None:
    setting, origin, _, found = only_fault({**ONE, **FILES, **rules(rule)})

    assert (setting, origin) == ("BROKER_POLICY, rule 1", "environment")
    assert mend in found


def test_all_faults_of_all_rules_are_told() -> None:
    faults = refused({**ONE, **FILES, **rules({"grop": "a", "effect": "x"}, {"resource": "nowhere"})})

    assert [setting for setting, *_ in faults] == ["BROKER_POLICY, rule 1"] * 2 + ["BROKER_POLICY, rule 2"]


def test_two_rules_with_one_name_are_refused() -> None:
    """The audit names the rule that decided."""
    assert "as another rule is" in only_fault({**ONE, **rules({"name": "a"}, {"name": "a"})})[2]


@pytest.mark.parametrize("text", ["{}", "[1]", "nonsense", '[{"group": "a"}', '"x"', '[{"user": "a", "user": "b"}]'])
def test_a_policy_that_is_no_list_of_rules_is_refused(text: str) -> None:
    assert only_fault({**ONE, "BROKER_POLICY": text})[0] == "BROKER_POLICY"


def test_a_condition_over_what_a_provider_never_gives_is_named() -> None:
    blind = ProviderType(
        name="blind", build=provider_types()["oidc"].build, env_prefix="BLIND", gives=frozenset({"user"})
    )
    environ = {**LOCAL, "BLIND_ISSUER": "https://b.example", "BLIND_CLIENT_ID": "b", "BLIND_CLIENT_SECRET": "s"}
    types = {"blind": blind, **provider_types()}

    allowed = examine(None, {**environ, **rules({"name": "staff", "group": "staff"})}, None, types)
    denied = examine(None, {**environ, **rules({"effect": "deny", "domain": "example.com"})}, None, types)

    assert allowed.unmet == ('Policy rule "staff" is about group, which blind never gives: it never holds',)
    assert allowed.unmet[0] in allowed.settings.warnings
    assert "holds for everybody" in denied.unmet[0]
    assert examine(None, {**environ, **rules({"user": "a"})}, None, types).unmet == ()


def test_a_condition_that_one_of_the_providers_gives_is_not_named() -> None:
    settings = load_from({**ONE, **rules({"group": "staff"})})

    assert unmet_rules(settings.policy, settings.providers) == []


def test_a_condition_that_needs_a_setting_which_is_not_there_is_named() -> None:
    google = {**LOCAL, "GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "s"}
    found = examine(None, {**google, **rules({"name": "staff", "group": "staff@example.com"})}, None, provider_types())

    assert found.unmet == ('Policy rule "staff" is about group, which google never gives: it never holds',)


def test_an_age_that_a_provider_never_states_is_named() -> None:
    """Some providers can be asked neither how nor when somebody signed in."""
    github = {**LOCAL, "GITHUB_CLIENT_ID": "g", "GITHUB_CLIENT_SECRET": "s"}
    found = examine(None, {**github, **rules({"max_login_age": "1h"})}, None, provider_types())

    assert found.unmet == ('Policy rule "rule 1" is about max_login_age, which github never gives: it never holds',)


def test_what_a_resource_requires_and_no_provider_gives_is_named() -> None:
    environ = {**LOCAL, **FILES, "BROKER_RESOURCES__FILES__REQUIRE": '{"acr": "gold", "max_login_age": "1h"}'}
    github = {"GITHUB_CLIENT_ID": "g", "GITHUB_CLIENT_SECRET": "s"}

    assert examine(None, {**environ, **github}, None, provider_types()).unmet == (
        "Resource files requires acr, which github never gives: nobody gets in",
        "Resource files requires max_login_age, which github never gives: nobody gets in",
    )
    assert examine(None, {**environ, **github, **ONE}, None, provider_types()).unmet == ()
    assert examine(None, environ, None, provider_types()).unmet == ()


@pytest.mark.parametrize("rule", [{"domain": "a.example"}, {"user": ["bob@a.example", "carol@b.example"]}], ids=str)
def test_a_rule_over_addresses_that_count_nowhere_is_named(rule: dict[str, object]) -> None:
    """Security rule B10: GitHub and Entra speak only for EMAIL_DOMAINS, so without them such a rule never holds."""
    github = {**LOCAL, "GITHUB_CLIENT_ID": "g", "GITHUB_CLIENT_SECRET": "s"}
    domains = "BROKER_PROVIDERS__GITHUB__EMAIL_DOMAINS"

    def unmet(environ: dict[str, str], **effect: str) -> tuple[str, ...]:
        return examine(None, {**environ, **rules({"name": "a", **rule, **effect})}, None, provider_types()).unmet

    (sentence,) = unmet(github)
    assert sentence.startswith('Policy rule "a" is about ')
    assert sentence.endswith(f"it never holds. {domains} must hold the domain")
    assert unmet({**github, domains: "else.example"}) == (sentence,)
    assert unmet({**github, domains: "a.example"}) == ()
    assert unmet(github, effect="deny") == (), "a deny takes an address as claimed"
    assert unmet({**github, **ONE}) == (), "another provider verifies addresses"


def test_a_rule_that_names_subjects_beside_addresses_may_hold() -> None:
    github = {**LOCAL, "GITHUB_CLIENT_ID": "g", "GITHUB_CLIENT_SECRET": "s"}
    found = examine(None, {**github, **rules({"user": ["583231", "bob@a.example"]})}, None, provider_types())
    assert found.unmet == ()
