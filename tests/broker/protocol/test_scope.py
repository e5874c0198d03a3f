from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.oauth import InvalidScope, Reason
from broker.protocol import scope
from tests.broker.records import make_resource

FILES = make_resource(
    scopes={"read": "Read", "write": "Write", "offline_access": "must never be granted"}, default_scopes=("read",)
)
TOKEN_CHARACTERS = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"\\')


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (None, ("read",)),
        ("read", ("read",)),
        ("write read", ("write", "read")),
        ("read read", ("read",)),
        ("openid email profile", ("read",)),
        ("openid write", ("write",)),
        ("offline_access", ("read",)),
        ("offline_access write", ("write",)),
        ("READ", ("read",)),
    ],
)
def test_unknown_scopes_are_dropped_and_none_means_the_defaults(asked: str | None, meant: tuple[str, ...]):
    """RFC 6749 section 3.3; security rule C10; offline_access is never granted."""
    assert scope.requested(FILES, asked) == meant


@pytest.mark.parametrize("asked", ["", " ", " read", "read ", "read  write", "read\twrite", 'read"', "r\\ead", "réad"])
def test_a_malformed_scope_is_refused(asked: str):
    """RFC 6749 section 3.3."""
    with pytest.raises(InvalidScope) as refused:
        scope.requested(FILES, asked)
    assert refused.value.reason is Reason.PARAMETER_MALFORMED


@given(st.lists(st.text(TOKEN_CHARACTERS, min_size=1), min_size=1))
def test_every_scope_of_the_grammar_parses_to_its_tokens(tokens: list[str]):
    """RFC 6749 section 3.3."""
    assert scope.parse(" ".join(tokens)) == tuple(dict.fromkeys(tokens))


@given(st.text())
def test_what_is_meant_is_always_of_the_resource(text: str):
    """Security rule C10."""
    try:
        meant = scope.requested(FILES, text)
    except InvalidScope:
        return
    assert set(meant) <= {"read", "write"}


@pytest.mark.parametrize(
    ("granted", "asked", "given_out"),
    [
        (("read", "write"), None, ("read", "write")),
        (("read", "write"), "write", ("write",)),
        (("read",), "openid read profile", ("read",)),
        (("read",), "openid", ("read",)),
        (("read",), "offline_access", ("read",)),
    ],
)
def test_a_refresh_narrows_the_access_token(granted: tuple[str, ...], asked: str | None, given_out: tuple[str, ...]):
    """RFC 6749 section 6; security rule E9."""
    assert scope.narrowed(FILES, granted, asked) == given_out


def test_a_refresh_never_widens():
    """RFC 6749 section 6; security rule E9."""
    with pytest.raises(InvalidScope) as refused:
        scope.narrowed(FILES, ("read",), "read write")
    assert refused.value.reason is Reason.SCOPE_EXCEEDED
