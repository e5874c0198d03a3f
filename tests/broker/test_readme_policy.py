"""The settings in README.md are real: they load as they stand there, and their rules decide what the text says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from broker.config import examine
from broker.model import Identity
from broker.policy import AccessRequest, Decision, Policy
from broker.settings import Settings
from providers.registry import provider_types
from tests.broker.records import make_client, make_identity
from tests.broker.settings_input import LONG_SECRET, MASTER_KEY

README = (Path(__file__).parents[2] / "README.md").read_text()
NOW = 1_800_000_000
ENGINEER = make_identity(groups=("/staff", "/staff/engineering"), auth_time=NOW - 60, auth_time_stated=True, acr="mfa")


def settings() -> Settings:
    (toml,) = re.findall(r"```toml\n(# broker\.toml\n.*?)```", README, re.DOTALL)
    secrets = {"BROKER_MASTER_KEY": MASTER_KEY, "BROKER_PROVIDERS__CORP__CLIENT_SECRET": LONG_SECRET}
    found = examine(None, secrets, toml.encode(), provider_types())
    assert found.unmet == ()
    assert found.settings.warnings == ()
    return found.settings


def decided(who: Identity, resource: str, *scopes: str) -> Decision:
    given = settings()
    target = next(r for r in given.resources if r.id == resource)
    request = AccessRequest(identity=who, client=make_client(), resource=target, scopes=scopes, now=NOW)
    return Policy(given).decide(replace(request, identity=replace(who, provider="corp")))


def test_the_example_loads_as_it_stands() -> None:
    assert [rule.effect for rule in settings().policy] == ["allow", "allow", "allow", "deny"]


def test_engineers_write_while_freshly_signed_in() -> None:
    fresh = decided(ENGINEER, "files", "files:read", "files:write")
    assert (fresh.scopes, fresh.access_token_ttl) == (("files:read", "files:write"), 300)
    old = decided(replace(ENGINEER, auth_time=NOW - 3601), "files", "files:read", "files:write")
    assert old.scopes == ("files:read",)
    assert old.step_up is not None
    assert old.step_up.max_age == 3600


def test_payroll_requires_a_second_factor_which_keycloak_calls_2() -> None:
    assert decided(ENGINEER, "payroll", "payroll:read").allowed
    weak = decided(replace(ENGINEER, acr="1"), "payroll", "payroll:read")
    assert (weak.allowed, weak.rule) == (False, "require")
    assert weak.step_up is not None
    assert (weak.step_up.acr_values, weak.step_up.max_age) == (("2",), 43200)


def test_interns_change_nothing_and_strangers_get_nothing() -> None:
    intern = replace(ENGINEER, groups=("/staff/interns", "/staff/engineering"))
    assert decided(intern, "files", "files:read", "files:write").scopes == ("files:read",)
    assert not decided(replace(ENGINEER, groups=("/partners",)), "files", "files:read").allowed
    assert not decided(replace(ENGINEER, groups=None), "files", "files:read").allowed
