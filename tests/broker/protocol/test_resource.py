from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model import Resource
from broker.oauth import InvalidTarget, Reason
from broker.protocol import resource
from tests.broker.records import make_resource

FILES = make_resource(id="files", url="https://files.example.com/mcp")
MAIL = make_resource(id="mail", url="https://mail.example.com:8443/mcp/")
ROOT = make_resource(id="root", url="https://root.example.com")
ALL = (FILES, MAIL, ROOT)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("https://files.example.com/mcp", FILES),
        ("HTTPS://FILES.Example.COM/mcp", FILES),
        ("https://files.example.com:443/mcp", FILES),
        ("https://files.example.com:/mcp", FILES),
        ("https://files.example.com/mcp/", FILES),
        ("https://mail.example.com:8443/mcp", MAIL),
        ("https://mail.example.com:08443/mcp/", MAIL),
        ("https://root.example.com/", ROOT),
    ],
)
def test_spellings_that_url_libraries_make_mean_the_registered_resource(asked: str, meant: Resource):
    """RFC 8707 section 2; security rule C11: the result is the resource as it was registered."""
    assert resource.choose(ALL, [asked], default=None) is meant


@pytest.mark.parametrize(
    "asked",
    [
        "https://files.example.com/other",
        "https://files.example.com/MCP",
        "https://files.example.com/mcp//",
        "https://files.example.com//mcp",
        "https://files.example.com/mcp?x=1",
        "https://files.example.com/mcp#",
        "https://files.example.com/mcp#part",
        "https://files.example.com:8443/mcp",
        "http://files.example.com/mcp",
        "https://files.example.com./mcp",
        "https://files.example.com.evil.example/mcp",
        "https://files.example.com@evil.example/mcp",
        "https://evil.example\\@files.example.com/mcp",
        "https://files.example.com\t/mcp",
        " https://files.example.com/mcp",
        "https://files.example.com/mcp\n",
        "https://files.example.com/%6dcp",
        "https://f\N{CYRILLIC SMALL LETTER I}les.example.com/mcp",
        "https://files.example.com:999999/mcp",
        "//files.example.com/mcp",
        "/mcp",
        "files",
        "https:",
        "urn:example:files",
    ],
)
def test_anything_else_is_refused(asked: str):
    """RFC 8707 section 2; security rules C11, F1: unknown, malformed, relative and fragment-bearing values."""
    with pytest.raises(InvalidTarget) as refused:
        resource.choose(ALL, [asked], default=FILES.url)
    assert refused.value.reason is Reason.RESOURCE_UNKNOWN


def test_one_resource_named_twice_is_one_audience():
    """RFC 8707 section 2; security rule C8."""
    asked = ["https://files.example.com/mcp", "https://FILES.example.com/mcp/"]
    assert resource.choose(ALL, asked, default=None) is FILES


def test_two_resources_are_refused():
    """Security rules C8, C11: one audience a token."""
    with pytest.raises(InvalidTarget) as refused:
        resource.choose(ALL, [FILES.url, MAIL.url], default=None)
    assert refused.value.reason is Reason.RESOURCE_AMBIGUOUS


def test_no_resource_means_the_default():
    """MCP clients of 2025-03-26 send none."""
    assert resource.choose(ALL, [], default="https://mail.example.com:8443/mcp") is MAIL


def test_no_resource_and_no_default_means_the_only_one():
    """MCP clients of 2025-03-26 send none."""
    assert resource.choose((FILES,), [], default=None) is FILES


def test_no_resource_among_several_is_refused():
    """Security rule C11: an audience is never unbounded."""
    with pytest.raises(InvalidTarget) as refused:
        resource.choose(ALL, [], default=None)
    assert refused.value.reason is Reason.RESOURCE_AMBIGUOUS


def test_a_default_that_is_gone_is_refused():
    """Security rule C11."""
    with pytest.raises(InvalidTarget):
        resource.choose(ALL, [], default="https://gone.example.com/mcp")


def test_without_resources_every_request_is_refused():
    """Security rule C11."""
    with pytest.raises(InvalidTarget) as refused:
        resource.choose((), [], default=None)
    assert refused.value.reason is Reason.RESOURCE_UNKNOWN


def test_a_registered_identifier_without_authority_matches_itself_only():
    """RFC 8707 section 2 permits any absolute URI; tolerance is for URLs."""
    odd = make_resource(id="odd", url="urn:example:files")
    assert resource.choose((odd, FILES), ["urn:example:files"], default=None) is odd
    with pytest.raises(InvalidTarget):
        resource.choose((odd, FILES), ["URN:example:files"], default=None)


def test_resources_that_a_request_cannot_tell_apart_are_found():
    """Architecture, section 5: two that collide do not start."""
    twin = make_resource(id="twin", url="https://FILES.example.com:443/mcp/")
    assert resource.collisions((FILES, MAIL, twin, ROOT)) == [(FILES, twin)]
    assert resource.collisions(ALL) == []


@given(st.text())
def test_no_text_matches_a_resource_unless_its_canonical_form_is_equal(text: str):
    """Security rules C11, F1."""
    try:
        found = resource.choose(ALL, [text], default=None)
    except InvalidTarget:
        return
    assert resource.canonical(text) == resource.canonical(found.url)


@given(st.from_regex(r"https?://[A-Za-z0-9.]{1,12}(:[0-9]{1,4})?(/[a-z/]{0,8})?(\?[a-z]{0,4})?", fullmatch=True))
def test_the_canonical_form_has_no_tolerated_difference_left(url: str):
    """Architecture, section 5: scheme and host fold, other parts do not."""
    form = resource.canonical(url)
    assert form is not None
    scheme, _, rest = form.partition("://")
    assert form == f"{scheme.lower()}://{rest}"
    assert not form.startswith("https://") or ":443/" not in form
