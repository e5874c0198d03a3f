"""Redirect URIs: comparison, what may be registered, and what is never followed."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.oauth import InvalidRedirectUri
from broker.protocol import redirect_uri

CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("https://claude.ai/api/mcp/auth_callback", "https://claude.ai/api/mcp/auth_callback"),
        ("https://chatgpt.com/connector/oauth/IbUR3zxyNQ16", "https://chatgpt.com/connector/oauth/IbUR3zxyNQ16"),
        ("https://client.example/cb?tenant=7", "https://client.example/cb?tenant=7"),
        ("http://localhost/callback", "http://localhost:54545/callback"),  # Claude Code's document names no port
        ("http://127.0.0.1/callback", "http://127.0.0.1:1/callback"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1:33419/"),  # VS Code when its port is busy
        ("http://127.0.0.1/", "http://127.0.0.1:33418"),
        ("http://127.0.0.1", "http://127.0.0.1:33418/"),
        ("http://[::1]/cb", "http://[::1]:65535/cb"),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1/cb"),
        ("http://localhost/cb?a=1", "http://localhost:9/cb?a=1"),
        (CURSOR, CURSOR),
    ],
)
def test_a_registered_uri_is_met_exactly_and_on_loopback_with_any_port(registered: str, presented: str) -> None:
    """Rules C1 and C2; RFC 8252 section 7.3; OAuth 2.1 sections 2.3.1 and 8.4.2."""
    assert redirect_uri.matches([registered], presented)


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("https://client.example/cb", "https://client.example/cb/"),
        ("https://client.example/cb", "https://client.example/CB"),
        ("https://client.example/cb", "https://CLIENT.example/cb"),
        ("https://client.example/cb", "https://client.example:443/cb"),
        ("https://client.example/cb", "https://client.example:8443/cb"),
        ("https://client.example/cb", "https://client.example/cb?x=1"),
        ("https://client.example/cb", "https://client.example/cb#"),
        ("https://client.example/cb", "https://client.example/x/../cb"),
        ("https://client.example/cb", "https://client.example/%63b"),
        ("https://client.example/cb", "https://client.example.evil.example/cb"),
        ("https://client.example/cb", "https://client.example@evil.example/cb"),
        ("https://client.example/", "https://client.example"),
        ("https://localhost:1/cb", "https://localhost:2/cb"),  # the port varies for http only
        ("http://localhost/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", "http://localhost/cb"),
        ("http://127.0.0.1/cb", "http://[::1]/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.2/cb"),
        ("http://localhost/cb", "http://LOCALHOST:1/cb"),
        ("http://localhost/cb", "http://localhost.evil.example:1/cb"),
        ("http://localhost/cb", "http://localhost:1@evil.example/cb"),
        ("http://localhost/cb", "http://localhost:/cb"),
        ("http://localhost/cb", "http://localhost:0/cb"),
        ("http://localhost/cb", "http://localhost:65536/cb"),
        ("http://localhost/cb", "http://localhost:080/cb"),
        ("http://localhost/cb", "http://localhost:1/cb?"),
        ("http://localhost/cb", "http://localhost:1/cb?code=x"),
        ("http://localhost/cb", "http://localhost:1/cb/"),
        ("http://localhost/cb", "http://localhost:1/CB"),
        ("http://localhost/cb", "http://localhost:1/cb\n"),
        ("http://localhost/cb", "http://localhost:1\\@evil.example/cb"),
        ("http://192.0.2.1/cb", "http://192.0.2.1:1/cb"),
        (CURSOR, CURSOR + "/"),
    ],
)
def test_anything_else_does_not_match(registered: str, presented: str) -> None:
    """Rules C1 and C2; RFC 9700 section 4.1.3. [fosite CVE-2020-15233]."""
    assert not redirect_uri.matches([registered], presented)


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "x y:z"]
)
def test_a_forbidden_or_malformed_uri_matches_nothing_even_if_it_is_registered(uri: str) -> None:
    """Rule C3: at registration and again at use."""
    assert not redirect_uri.matches([uri], uri)


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example",
        "https://client.example/cb",
        "https://client.example:8443/cb?next=%2Fhome&x",
        "https://192.0.2.7/cb",
        "https://[2001:db8::1]/cb",
        "http://localhost",
        "http://127.0.0.1:1/",
        "http://[::1]:2/cb",
        "https://client.example/cb?mycode=1&codes=2&xstate=3",
        CURSOR,
        "com.example.app:/oauth2redirect",
    ],
)
def test_https_loopback_http_and_listed_schemes_are_accepted(uri: str) -> None:
    """Rule C3; RFC 8252 section 7."""
    redirect_uri.check(uri, ("cursor", "com.example.app"))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/cb",
        "//client.example/cb",
        "client.example/cb",
        "https:",
        "https://",
        "https:///cb",
        "https:client.example/cb",
        "HTTPS://client.example/cb",
        "https://client.example/cb#fragment",
        "https://client.example/cb#",
        "https://user@client.example/cb",
        "https://user:pass@client.example/cb",
        "https://client.example\\@evil.example/cb",
        "https://client.example/c b",
        "https://client.example/cb\n",
        "https://client.example/cb\r\nSet-Cookie: a=b",
        "https://client.example/\x00",
        "https://client.example/\x7f",
        "https://client.example/ü",
        "https://cl\N{CYRILLIC SMALL LETTER I}ent.example/cb",
        "https://client.example/%zz",
        "https://client.example/%2",
        "https://client.example/<script>",
        'https://client.example/"',
        "https://client.example/{x}",
        "https://*.example/cb",
        "https://client..example/cb",
        "https://.example/cb",
        "https://client.example./cb",
        "https://client%2eexample/cb",
        "https://2130706433/cb",
        "https://0x7f.1/cb",
        "https://127.1/cb",
        "https://[::1/cb",
        "https://[fe80::1%25eth0]/cb",
        "https://[v1.x]/cb",
        "https://client.example:/cb",
        "https://client.example:99999/cb",
        "https://client.example:x/cb",
        "http://client.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.2/cb",
        "http://0.0.0.0/cb",
        "http://0/cb",
        "http://[::]/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript://localhost/%0aalert(1)",
        "data:text/html,hello",
        "file:///etc/passwd",
        "vbscript:msgbox(1)",
        "about:blank",
        "blob:https://client.example/1",
        "view-source:https://client.example/",
        "intent://x#Intent;end",
        "ws://localhost/cb",
        "ftp://client.example/cb",
        "mailto:me@client.example",
        "other://callback",
        "Cursor://callback",
        "cursor://user@callback/x",
        "cursor://call back",
        "cursor://callback#x",
        "https://client.example/" + "a" * 2048,
    ],
)
def test_everything_else_is_refused_even_when_an_administrator_lists_the_scheme(uri: str) -> None:
    """Rules C3 and C5; RFC 6749 section 3.1.2: absolute and without a fragment. [GHSA: javascript redirect URIs]."""
    schemes = tuple({"cursor", uri.partition(":")[0].lower()} - {"other"})
    with pytest.raises(InvalidRedirectUri):
        redirect_uri.check(uri, schemes)


@pytest.mark.parametrize("name", ["code", "state", "iss", "error", "response", "%63ode", "c%6fde"])
@pytest.mark.parametrize("form", ["?{}=x", "?a=1&{}=x", "?a=1;{}=x", "?{}", "?a&{}&b"])
@pytest.mark.parametrize("base", ["https://client.example/cb", "http://localhost/cb", "cursor://h/cb"])
def test_a_redirect_uri_that_answers_itself_is_refused(base: str, form: str, name: str) -> None:
    """Rule C4; RFC 9207: parameters of the response must come from the server alone."""
    with pytest.raises(InvalidRedirectUri):
        redirect_uri.check(base + form.format(name), ("cursor",))


def test_an_unlisted_private_scheme_is_left_out_while_another_uri_remains() -> None:
    """RFC 7591 section 2; Cursor registers three kinds together (rule C3)."""
    uris = [CURSOR, "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"]
    assert redirect_uri.permitted(uris, ()) == tuple(uris[1:])
    assert redirect_uri.permitted(uris, ("cursor",)) == tuple(uris)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [CURSOR],
        ["https://client.example/cb", "javascript:alert(1)"],
        ["https://client.example/cb", "http://client.example/cb"],
        ["https://client.example/cb", "https://client.example/cb#x"],
        ["https://client.example/cb", ""],
    ],
)
def test_no_permitted_uri_or_a_dangerous_one_refuses_the_whole_registration(uris: list[str]) -> None:
    """Rules C3 and D14."""
    with pytest.raises(InvalidRedirectUri):
        redirect_uri.permitted(uris, ())


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://127.0.0.1:1/cb", True),
        ("http://[::1]/", True),
        ("http://localhost", True),
        ("https://localhost/cb", False),
        ("http://localhost.evil.example/", False),
        ("http://LOCALHOST/", False),
        ("cursor://localhost/cb", False),
        ("nonsense", False),
    ],
)
def test_loopback_means_http_on_one_of_three_names(uri: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """Rule C2; RFC 8252 section 7.3."""
    assert redirect_uri.is_loopback(uri) is expected


@given(st.text(max_size=80), st.text(max_size=80))
def test_arbitrary_text_raises_only_the_oauth_error(registered: str, presented: str) -> None:
    """No input gives a 5xx (rule C3)."""
    redirect_uri.matches([registered], presented)
    redirect_uri.is_loopback(presented)
    try:
        redirect_uri.check(presented, ("x", "javascript"))
    except InvalidRedirectUri:
        return
    assert urlsplit(presented).fragment == ""
    assert presented.isascii()


WORDS = ("http", "https", "://", "localhost", "127.0.0.1", "[::1]", ":80", "client.example", "%2f", "evil.example")
PIECES = st.sampled_from([*"htps:/@?#%\\[]. &=;0123\t\uff0f", *WORDS, "javascript:", "cursor:", "code=", "/cb"])


@given(st.lists(PIECES, max_size=10).map("".join))
def test_whatever_is_accepted_is_read_alike_by_the_standard_library(uri: str) -> None:
    """Rules C2 and C3: no accepted URI has userinfo, a fragment, a backslash or a host that parsers disagree on."""
    try:
        redirect_uri.check(uri, ("cursor",))
    except InvalidRedirectUri:
        return
    parts = urlsplit(uri)
    assert parts.scheme in ("https", "http", "cursor")
    assert parts.username is None
    assert "\\" not in uri
    assert "#" not in uri
    if parts.scheme == "http":
        assert parts.hostname in ("localhost", "127.0.0.1", "::1")


@given(st.integers(1, 65535), st.integers(1, 65535), st.sampled_from(["localhost", "127.0.0.1", "[::1]"]))
def test_on_loopback_every_port_matches_every_other_and_no_other_host(one: int, two: int, host: str) -> None:
    """Rule C2."""
    registered, presented = f"http://{host}:{one}/cb", f"http://{host}:{two}/cb"
    assert redirect_uri.matches([registered], presented)
    others = {"localhost", "127.0.0.1", "[::1]"} - {host}
    assert not any(redirect_uri.matches([f"http://{other}:{one}/cb"], presented) for other in others)
