"""Why a decision is as it is: every rule, every condition, and what would change it, in words for an administrator."""

from __future__ import annotations

from tests.broker.policy.world import (
    EVERYBODY,
    FILES,
    READ,
    STRANGER,
    WRITE,
    deny,
    explained,
    person,
    provider,
    requiring,
    rule,
)


def test_what_is_permitted_needs_no_change():
    told = explained(EVERYBODY)
    assert told.decision.allowed
    assert (told.withheld, told.remedies, told.demands) == ((), (), ())
    assert [(one.name, one.matches, one.scopes) for one in told.rules] == [("all", True, None)]


def test_each_condition_of_each_rule_says_what_it_wants_and_what_there_is():
    told = explained(rule("ops", group=("ops", "sre"), domain=("corp.example",), scopes=(READ,)), deny("x", acr=("1",)))
    ops, x = told.rules
    assert (ops.effect, ops.matches, ops.scopes) == ("allow", False, (READ,))
    assert {c.name: (c.wanted, c.has, c.holds) for c in ops.conditions} == {
        "group": (("ops", "sre"), ("/eng/backend", "staff"), False),
        "domain": (("corp.example",), ("corp.example",), True),
    }
    assert (x.effect, x.matches) == ("deny", True)


def test_what_is_unknown_is_told_as_unknown():
    (one,) = explained(rule(group=("ops",), max_login_age=60), identity=STRANGER).rules
    assert [(c.name, c.has, c.holds) for c in one.conditions] == [
        ("group", None, False),
        ("max_login_age", None, False),
    ]


def test_unknown_groups_and_roles_are_the_providers_to_mend_and_told_first():
    told = explained(rule("ops", group=("ops",)), rule("admins", role=("admin",)), identity=STRANGER)
    assert told.remedies[0].startswith("The groups are unknown (claim_absent): no change of a rule helps")
    assert told.remedies[1].startswith("The roles are unknown: no change of a rule helps")


def test_unknown_groups_that_bar_the_sign_in_are_the_providers_to_mend_too():
    told = explained(EVERYBODY, identity=STRANGER, config=provider(allowed_groups=("staff",)))
    assert [remedy.split(":")[0] for remedy in told.remedies] == [
        "The groups are unknown (claim_absent)",
        "Sign-in itself is barred",
    ]


def test_what_no_rule_here_asks_or_the_provider_never_gives_is_not_told_as_unknown():
    elsewhere = rule("mail", resource=("mail",), group=("staff",))
    assert "unknown (" not in " ".join(explained(elsewhere, identity=STRANGER).remedies)
    mute = provider(gives=frozenset({"user"}))
    told = explained(rule("ops", group=("ops",), role=("x",)), identity=STRANGER, config=mute)
    assert not [remedy for remedy in told.remedies if remedy.startswith("The ")]


def test_the_nearest_rule_is_told_first():
    told = explained(
        rule("far", group=("ops",), role=("admin",)),
        rule("near", group=("ops",)),
        rule("about something else", resource=("mail",), group=("staff",)),
    )
    assert told.remedies == (
        "Allow rule near gives files:read files:write to group ops (group is /eng/backend, staff here)",
        (
            "Allow rule far gives files:read files:write to group ops (group is /eng/backend, staff here) "
            "and role admin (role is editor here)"
        ),
    )


def test_unknown_and_empty_are_told_apart():
    remedy = rule("r", group=("ops",))
    assert "(group is unknown here)" in explained(remedy, identity=STRANGER).remedies[-1]
    assert "(group is none here)" in explained(remedy, identity=person(groups=())).remedies[0]


def test_an_age_is_told_in_seconds():
    told = explained(rule("r", max_login_age=60))
    assert told.remedies == (
        "Signing in again, with an age of at most 60 s",
        "Allow rule r gives files:read files:write to a sign-in no older than 60 s (max_login_age is 1000 here)",
    )


def test_a_deny_that_matches_is_told_with_its_reason():
    told = explained(EVERYBODY, deny("no-staff", group=("staff",), resource=("files",), scopes=(WRITE,)))
    assert told.withheld == (WRITE,)
    assert told.remedies == ("Deny rule no-staff takes files:write away: group is /eng/backend, staff here",)
    assert explained(EVERYBODY, deny("no")).remedies == ("Deny rule no takes files:read files:write away",)


def test_where_no_rule_gives_a_scope_one_is_missing():
    told = explained(rule("read", scopes=(READ,)))
    assert told.remedies == ("No allow rule gives files:write on files here: add one",)
    mail = explained(rule("mail", resource=("mail",)))
    assert mail.remedies == ("No allow rule gives files:read files:write on files here: add one",)


def test_a_requirement_of_the_resource_is_told():
    told = explained(resource=requiring("gold"))
    assert told.demands == ("an acr of gold, and this sign-in's is 1",)
    assert told.remedies == ("Signing in again, with acr gold",)
    blind = explained(resource=requiring("gold"), config=provider(gives=frozenset()))
    assert blind.remedies == ("files requires an acr of gold, and this sign-in's is 1",)


def test_who_may_not_sign_in_is_told_only_that():
    told = explained(EVERYBODY, config=provider(allowed_groups=("ops",)))
    assert told.remedies == (f"Sign-in itself is barred: {told.decision.reason}",)
    assert explained(identity=person(provider="former")).remedies[0].endswith("is not configured any more")


def test_nothing_asked_for_is_told():
    told = explained(scopes=())
    assert not told.decision.allowed
    assert told.remedies == ("No scope of files is asked for",)
    assert FILES.id == "files"
