"""What claims say about a person, whatever they look like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import claims as read
from providers.base import Groups
from providers.claims import VerifiedClaims, parse_path
from tests.naming import stable
from tests.providers.values import JSON_VALUES


def said(**values: Any) -> VerifiedClaims:
    """Return verified claims."""
    return VerifiedClaims(values)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("groups", ("groups",)),
        ("realm_access.roles", ("realm_access", "roles")),
        ('["resource_access", "my.client", "roles"]', ("resource_access", "my.client", "roles")),
        ("https://acme.example/groups", ("https://acme.example/groups",)),
        ("cognito:groups", ("cognito:groups",)),
    ],
)
def test_a_claim_path_is_names_with_dots_a_url_or_a_list(text: str, path: tuple[str, ...]) -> None:
    """Names may hold dots themselves."""
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", ".", "a..b", "[]", '["a", ""]', '["a", 1]', "[a]", '[["a"]]'])
def test_a_claim_path_that_is_none_is_refused(text: str) -> None:
    """The settings loader tells the administrator."""
    with pytest.raises(ValueError, match=r".*"):
        parse_path(text)


def test_a_path_leads_through_objects_only() -> None:
    """A list or text on the way is as good as absent."""
    assert read.at(said(a={"b.c": [1]}), ("a", "b.c")) == [1]
    assert read.at(said(a=["b"]), ("a", "b")) is None
    assert read.at(said(a=None), ("a", "b")) is None


def test_the_first_source_with_groups_decides() -> None:
    """An unreadable claim is not papered over by the next source."""
    assert read.groups([said(), said(g=["a"])], ("g",)) == Groups.known(("a",))
    assert read.groups([said(g=[]), said(g=["a"])], ("g",)) == Groups.known(())
    assert read.groups([said(g=7), said(g=["a"])], ("g",)) == Groups.unknown("claim_malformed")


def test_roles_are_the_union_of_their_places_or_unknown() -> None:
    """An attribute that is not there is unknown."""
    paths = (("realm", "roles"), ("client", "roles"))
    assert read.roles([said(realm={"roles": ["a"]}), said(client={"roles": ["b", "a"]})], paths) == ("a", "b")
    assert read.roles([said(realm={"roles": []})], paths) == ()
    assert read.roles([said()], paths) is None
    assert read.roles([said(realm={"roles": ["a"]}, client={"roles": 7})], paths) is None


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "alice",
        "@example.com",
        "alice@",
        "a@b@c",
        "a b@example.com",
        "a\n@example.com",
        "a" * 250 + "@b.example",
    ],
)
def test_an_address_that_is_none_is_left_out(address: Any) -> None:
    """Security rule B10: verified or not, it is nothing."""
    assert read.email([said(email=address, email_verified=True)]) is None


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"name": "Alice A", "preferred_username": "alice"}, "Alice A"),
        ({"name": "", "preferred_username": "alice"}, "alice"),
        ({"name": "\u202e\u200b\x00", "preferred_username": "alice"}, "alice"),
        ({"name": "Ali\u202ece\x07\n A"}, "Alice A"),
        ({"name": "x" * 500}, "x" * 200),
        ({"name": ["Alice"]}, None),
        ({}, None),
    ],
    ids=stable,
)
def test_a_name_is_fit_for_a_page(values: dict[str, Any], name: str | None) -> None:
    """Security rule A12: truncated, without control, bidi and zero-width characters."""
    assert read.display_name([said(**values)]) == name


def test_how_somebody_signed_in_is_read_or_unknown() -> None:
    """OpenID Connect Core section 2: `acr` a text, `amr` a list of texts."""
    assert read.acr(said(acr="urn:mfa")) == "urn:mfa"
    assert read.amr(said(amr=["pwd", "otp"])) == ("pwd", "otp")
    assert read.amr(said(amr="pwd")) == ("pwd",)
    assert read.sid(said(sid="s-1")) == "s-1"
    for value in (None, 7, "", [7], {"a": 1}, "x\n", "x" * 2000):
        assert read.acr(said(acr=value)) is None
        assert read.amr(said(amr=value)) is None
        assert read.sid(said(sid=value)) is None


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("groups", "email", "email_verified", "name", "acr", "amr", "sid"), JSON_VALUES)
    )
)
def test_no_claim_makes_the_reading_fail(values: dict[str, Any]) -> None:
    """What a provider says is somebody's input too."""
    claims = [VerifiedClaims(values)]
    groups = read.groups(claims, ("groups",))
    assert (groups.names is None) == (groups.reason is not None)
    found = read.email(claims)
    assert found is None or not found.verified or values["email_verified"] in (True, "true")
    name = read.display_name(claims)
    assert name is None or (0 < len(name) <= 200 and name.isprintable())
    read.roles(claims, [("groups",), ("name", "x")])
    read.acr(claims[0]), read.amr(claims[0]), read.sid(claims[0])
