"""Each condition of a rule: what meets it, and that what is unknown meets no `allow` and every `deny`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.model import Identity
from broker.policy import globs
from tests.broker.policy.world import ALICE, EVERYBODY, FILES, STRANGER, decide, deny, person, rule

MET: list[tuple[dict[str, Any], str]] = [
    ({"resource": ("files",)}, "a resource by its id"),
    ({"resource": (FILES.url,)}, "a resource by its URL"),
    ({"provider": ("other", "corp")}, "a provider"),
    ({"client": ("app",)}, "a client by its id"),
    ({"user": ("u_alice",)}, "our subject"),
    ({"user": ("42",)}, "the upstream subject"),
    ({"user": ("Alice@Corp.example",)}, "an e-mail address, whatever its case"),
    ({"domain": ("corp.example",)}, "a domain"),
    ({"domain": ("CORP.example",)}, "a domain, whatever its case"),
    ({"tenant": ("t-1",)}, "a tenant"),
    ({"organization": ("acme",)}, "an organisation by its name"),
    ({"organization": ("org:7",)}, "an organisation by its id"),
    ({"group": ("staff",)}, "a group"),
    ({"group": ("/eng/*",)}, "a group by a glob"),
    ({"role": ("edit*",)}, "a role by a glob"),
    ({"acr": ("2", "1")}, "an acr"),
    ({"amr": ("pwd",)}, "an amr"),
    ({"max_login_age": 1000}, "an age, to the second"),
]
UNMET: list[tuple[dict[str, Any], str]] = [
    ({"resource": ("mail",)}, "another resource"),
    ({"resource": ("FILES",)}, "another case of an id"),
    ({"provider": ("other",)}, "another provider"),
    ({"client": ("APP",)}, "another case of a client id"),
    ({"user": ("u_bob",)}, "another subject"),
    ({"user": ("4",)}, "a part of a subject"),
    ({"user": ("*",)}, "a glob where none is meant"),
    ({"domain": ("example",)}, "a parent domain"),
    ({"domain": ("sub.corp.example",)}, "a sub-domain"),
    ({"tenant": ("t-2",)}, "another tenant"),
    ({"organization": ("Acme",)}, "another case of an organisation"),
    ({"group": ("STAFF",)}, "another case of a group"),
    ({"role": ("admin",)}, "another role"),
    ({"acr": ("2",)}, "another acr"),
    ({"acr": ("*",)}, "a glob where none is meant"),
    ({"amr": ("otp", "hwk")}, "another amr"),
    ({"max_login_age": 999}, "an age, a second too old"),
]
OF_A_PERSON: dict[str, Any] = {
    "domain": ("corp.example",),
    "tenant": ("*",),
    "organization": ("*",),
    "group": ("*",),
    "role": ("*",),
    "acr": ("1",),
    "amr": ("pwd",),
}
NAMES = {"domain", "group", "organization", "role", "tenant", "acr", "amr"}


def sentence(value: Any) -> str | None:
    return value.replace(" ", "-") if isinstance(value, str) else ""


@pytest.mark.parametrize(("conditions", "_what"), MET, ids=sentence)
def test_a_condition_is_met_by(conditions: dict[str, Any], _what: str):
    assert decide(rule(**conditions)).allowed
    if "max_login_age" not in conditions:
        assert not decide(EVERYBODY, deny(**conditions)).allowed


@pytest.mark.parametrize(("conditions", "_what"), UNMET, ids=sentence)
def test_a_condition_is_not_met_by(conditions: dict[str, Any], _what: str):
    assert not decide(rule(**conditions)).allowed
    if "max_login_age" not in conditions:
        assert decide(EVERYBODY, deny(**conditions)).allowed


@pytest.mark.parametrize("attribute", OF_A_PERSON)
def test_what_is_unknown_meets_no_allow_and_every_deny(attribute: str):
    """Decision "groups": unknown fails closed; the same for every upstream attribute."""
    assert set(OF_A_PERSON) == NAMES
    conditions: dict[str, Any] = {attribute: OF_A_PERSON[attribute]}
    assert decide(rule(**conditions)).allowed
    assert not decide(rule(**conditions), identity=STRANGER).allowed
    other: dict[str, Any] = {attribute: ("something else",)}
    assert not decide(EVERYBODY, deny(**other), identity=STRANGER).allowed
    assert decide(EVERYBODY, deny(**other)).allowed


@pytest.mark.parametrize(
    ("attribute", "empty"),
    [
        ("group", {"groups": ()}),
        ("amr", {"amr": ()}),
        *((name, {"attributes": {**ALICE.attributes, name: ()}}) for name in ("tenant", "organization", "role")),
    ],
)
def test_what_is_known_to_be_none_meets_neither(attribute: str, empty: dict[str, Any]):
    """Decision "groups": empty is an answer, not a gap."""
    assert not decide(rule(**{attribute: OF_A_PERSON[attribute]}), identity=person(**empty)).allowed
    assert decide(EVERYBODY, deny(**{attribute: OF_A_PERSON[attribute]}), identity=person(**empty)).allowed


def test_a_login_age_counts_only_where_the_provider_stated_when():
    """An adapter that fills in its own clock proves nothing about an old session at the provider."""
    assert not decide(rule(max_login_age=10_000), identity=person(auth_time_stated=False)).allowed
    assert decide(rule(max_login_age=10_000)).allowed


def test_a_login_a_moment_ahead_of_our_clock_is_a_fresh_one():
    """Rule F4: clocks differ by a minute."""
    assert decide(rule(max_login_age=1), identity=person(auth_time=ALICE.auth_time + 1030)).allowed


@pytest.mark.parametrize("upstream", ["ceo@corp.example", "u_bob"])
def test_a_chosen_upstream_subject_is_nobody_elses_address_or_subject(upstream: str):
    """Security rule B10: at some providers people choose their subject; naming the provider says that this is meant."""
    impostor = person(upstream_subject=upstream, email=None)
    assert not decide(rule(user=(upstream,)), identity=impostor).allowed
    assert decide(rule(user=(upstream,), provider=("corp",)), identity=impostor).allowed
    assert not decide(EVERYBODY, deny(user=(upstream,)), identity=impostor).allowed


def test_subjects_are_compared_exactly_even_where_they_look_like_addresses():
    named: dict[str, Any] = {"user": ("Alice@corp.example",), "provider": ("corp",)}
    twin = person(upstream_subject="alice@corp.example", email=None)
    assert not decide(rule(**named), identity=twin).allowed


def test_user_is_never_unknown():
    """Architecture: in a `deny`, `user` names somebody; who gave no address is not everybody."""
    assert decide(EVERYBODY, deny(user=("mallory@corp.example",)), identity=STRANGER).allowed
    claimed = person(email="mallory@corp.example", email_verified=False)
    assert not decide(EVERYBODY, deny(user=("Mallory@corp.example",)), identity=claimed).allowed


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("/eng/*", "/eng/backend", True),
        ("/eng/*", "/eng", False),
        ("/eng/*", "/eng/", True),
        ("/eng/*", "/eng/backend/db", False),
        ("/*", "/eng/backend", False),
        ("/*/*", "/eng/backend", True),
        ("*", "staff", True),
        ("*", "", True),
        ("*", "/staff", False),
        ("sta*", "staff", True),
        ("*aff", "staff", True),
        ("s*f", "staff", True),
        ("s*x*f", "staff", False),
        ("*t*f*", "staff", True),
        ("*ta*ta*", "tata", True),
        ("*ta*ta*", "ta", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("**", "staff", True),
        ("st.ff", "staff", False),
        ("[a-z]*", "staff", False),
        ("?taff", "staff", False),
        ("staff", "staff\n", False),
        ("sta*", "sta\nff", True),
        ("CN=staff,OU=*", "CN=staff,OU=x", True),
        ("STAFF", "staff", False),
        ("STA*", "staff", False),
    ],
)
def test_a_glob_is_case_sensitive_and_its_star_stops_at_a_slash(pattern: str, value: str, matches: bool):  # noqa: FBT001
    assert globs.match(pattern, value) is matches
    assert decide(rule(group=(pattern,)), identity=person(groups=(value,))).allowed is matches


def test_a_glob_with_many_stars_takes_no_time():
    """Names may come from strangers: no pattern makes the broker slow."""
    assert not globs.match("*a" * 50 + "b", "a" * 1024)


def test_an_identity_of_before_says_no_age():
    old = Identity(subject="u_1", provider="corp", upstream_issuer="i", upstream_subject="s", auth_time=1)
    assert not decide(rule(max_login_age=10**9), identity=old).allowed
    assert decide(rule(max_login_age=10**9), identity=replace(old, auth_time_stated=True)).allowed
