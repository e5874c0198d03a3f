from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model import ClientSource
from broker.oauth import InvalidScope, Reason
from broker.protocol import scope
from tests.broker.records import make_client, make_resource

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


@pytest.mark.parametrize("source", [ClientSource.CONFIGURED, ClientSource.ADDED, ClientSource.METADATA_DOCUMENT])
@given(
    own=st.lists(st.sampled_from(["read", "write", "admin", "openid", "other"])),
    asked=st.lists(st.sampled_from(["read", "write", "admin"]), unique=True),
)
def test_a_client_gets_no_scope_beyond_its_own(source: ClientSource, own: list[str], asked: list[str]):
    """RFC 7591 section 2; security rule C10: the intersection, in the order asked; without a scope of its own, no limit."""
    client = make_client(source=source, scope=" ".join(own) or None)
    permitted = scope.allowed(client, FILES, tuple(asked))
    silent = not own or (source is ClientSource.METADATA_DOCUMENT and not {"read", "write"} & set(own))
    assert permitted == (tuple(asked) if silent else tuple(s for s in asked if s in own))


def test_a_registration_s_own_words_do_not_stop_a_step_up():
    """Security rule C10: the MCP SDKs register with the first challenge's scope and later ask for more with the same client."""
    client = make_client(source=ClientSource.REGISTERED, scope="read")
    assert scope.allowed(client, FILES, ("read", "write")) == ("read", "write")


@pytest.mark.parametrize("own", ["mcp:connect", "openid mcp:connect", "profile email"])
def test_a_document_that_names_no_scope_of_a_server_says_nothing_about_it(own: str):
    """Decision "scope": unknown ones are dropped; a document is the same for every server in the world."""
    client = make_client(source=ClientSource.METADATA_DOCUMENT, scope=own)
    assert scope.allowed(client, FILES, ("read",)) == ("read",)
