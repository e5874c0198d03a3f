"""Whatever GitHub answers, the adapter knows a person, says unknown, or raises UpstreamError (rule B12)."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from providers import github_api, github_token
from providers.github_person import Listing, read_email, read_memberships, read_user
from providers.http import UpstreamResponse
from tests.providers.test_answers import refusing_at_most
from tests.providers.values import JSON_VALUES

NUMBERS = st.integers() | st.booleans() | st.text(max_size=5)
NAMES = st.text(max_size=12) | st.sampled_from(["acme", "org:1", "a/b", ""])


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of some of these members, with likely and unlikely values."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON_VALUES | NUMBERS | NAMES))


ORGANIZATIONS = objects("id", "login")
TEAMS = st.builds(lambda team, org: {**team, "organization": org}, objects("id", "slug"), ORGANIZATIONS | JSON_VALUES)


@given(
    st.integers(200, 599),
    st.binary(max_size=200)
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["access_token", "error", "token_type", "x"]), st.text(max_size=20)).map(
        lambda form: urlencode(form).encode()
    ),
)
def test_no_token_answer_makes_the_reading_fail(status: int, body: bytes) -> None:
    """Security rule B12; what is accepted can go into a header."""
    with refusing_at_most():
        tokens = github_token.process(UpstreamResponse(status, {}, body))
        assert tokens.access_token.isascii()
        assert tokens.access_token.isprintable()


@given(objects("id", "login", "name", "email"))
def test_a_person_has_a_number_or_is_nobody(values: dict[str, Any]) -> None:
    """Security rule B10."""
    with refusing_at_most():
        user = read_user(values)
        assert user.subject == str(values["id"])
        assert int(user.subject) > 0
        assert user.name.isprintable()


@given(st.lists(objects("email", "verified", "primary"), max_size=4))
def test_an_address_counts_only_with_a_true_true(addresses: list[dict[str, Any]]) -> None:
    """Security rule B10."""
    user = read_user({"id": 1, "login": "a", "email": "public@example.com"})
    found = read_email(user, addresses, vouched=True)
    assert found is not None
    assert not found.verified or any(a.get("verified") is True and a["email"] == found.address for a in addresses)
    unvouched = read_email(user, addresses, vouched=False)
    assert unvouched is not None
    assert not unvouched.verified


@given(st.lists(ORGANIZATIONS, max_size=4), st.lists(TEAMS, max_size=4), st.sampled_from([None, "forbidden"]))
def test_memberships_are_complete_or_unknown(
    organizations: list[dict[str, Any]], teams: list[dict[str, Any]], gap: str | None
) -> None:
    """One entry that cannot be read makes the list unknown; a name is never a number's form."""
    found = read_memberships(Listing(entries=tuple(organizations)), Listing(entries=tuple(teams), gap=gap))
    names = found.groups.names
    assert (names is None) == (found.groups.reason is not None)
    if gap is not None:
        assert names is None
    for name in names or ():
        assert re.fullmatch(r"org:[1-9]\d*|team:[1-9]\d*|[A-Za-z0-9][\w-]*(/[^\s/:]+)?", name)
    if names is not None:
        assert len({n for n in names if n.startswith("org:")}) == len({o["id"] for o in organizations})


@given(
    st.text(max_size=200) | st.lists(st.sampled_from(["<https://a/x>", "; ", 'rel="', "next", '"', ", "])).map("".join)
)
def test_no_link_header_makes_the_reading_fail(header: str) -> None:
    """RFC 8288 section 3."""
    found = github_api._next(UpstreamResponse(200, {"link": header}, b"[]"))
    assert found is None or f"<{found}>" in header


def test_a_link_header_of_many_words_costs_one_pass() -> None:
    """Rule G14: the words of an unclosed `rel` were once tried against each other, on the event loop."""
    header = '<https://a/x>; rel="' + "next " * 20_000
    began = time.process_time()
    github_api._next(UpstreamResponse(200, {"link": header}, b"[]"))
    assert time.process_time() - began < 0.5
