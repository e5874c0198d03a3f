"""The authorization endpoint (RFC 6749 section 4.1.1, RFC 7636, RFC 8707; security rules C1 to C17)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broker.harness import CHALLENGE, FILES, ISSUER, MAIL, TRUSTED, BrokerUnderTest, Form, query_of, running

HTML = {"accept": "text/html"}


@pytest.mark.parametrize("client", ["nobody", None, "https://unknown.invalid/x y", "u_alice", "\u00e9"])
async def test_an_unknown_client_is_a_local_page(broker: BrokerUnderTest, client: str | None):
    """Mcp clients re-register on 400; security rule C5."""
    page = await broker.browser().authorize(client_id=client)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert page.headers["content-type"].startswith("text/html")


async def test_a_refusal_is_logged_under_the_path_that_refused(broker: BrokerUnderTest):
    await broker.browser().authorize(client_id="nobody")
    refused = [json.loads(line) for line in broker.oracle.log if '"request.refused"' in line]
    assert [line["path"] for line in refused] == ["/authorize"]


async def test_a_program_gets_the_refusal_as_json(broker: BrokerUnderTest):
    """Error behaviour that clients rely on: JSON where it is asked for."""
    answer = await broker.browser().open(broker.authorize_url(client_id="nobody"), accept="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "uri",
    [
        "https://trusted.example.com/cb/",
        "https://trusted.example.com/cb?x=1",
        "https://trusted.example.com/CB",
        "https://trusted.example.com:443/cb",
        "https://TRUSTED.example.com/cb",
        "https://trusted.example.com/cb#f",
        "https://trusted.example.com/a/../cb",
        "https://trusted.example.com/c%62",
        "https://trusted.example.com@evil.example/cb",
        "http://trusted.example.com/cb",
        "https://evil.example/cb",
        "javascript:alert(1)//https://trusted.example.com/cb",
    ],
)
async def test_redirect_uris_compare_as_strings(broker: BrokerUnderTest, uri: str):
    """Security rules C1, C3, C5: any difference ends in a local page."""
    page = await broker.browser().authorize(redirect_uri=uri)
    assert page.status_code == 400
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("uri", "accepted"),
    [
        ("http://127.0.0.1/callback", True),
        ("http://127.0.0.1:51234/callback", True),
        ("http://localhost:51234/callback", False),
        ("http://[::1]:51234/callback", False),
        ("https://127.0.0.1:51234/callback", False),
        ("http://127.0.0.1:51234/callback/", False),
        ("http://127.0.0.1:51234/callback?x=1", False),
        ("http://127.0.0.1:99999/callback", False),
        ("http://127.0.0.1:/callback", False),
        ("http://127.0.0.1.evil.example:80/callback", False),
        ("http://127.0.0.1:80@evil.example/callback", False),
        ("http://127.1:5000/callback", False),
    ],
)
async def test_only_the_port_of_a_loopback_redirect_may_vary(broker: BrokerUnderTest, uri: str, accepted: bool):  # noqa: FBT001
    """Security rule C2, RFC 8252 section 7.3."""
    page = await broker.browser().authorize(client_id="native", redirect_uri=uri)
    assert page.status_code == (200 if accepted else 400)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge": "\u00e9" * 43}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"resource": "https://other.example.com/mcp"}, "invalid_target"),
        ({"resource": "/mcp"}, "invalid_target"),
        ({"resource": FILES.url + "#x"}, "invalid_target"),
        ({"resource": None}, "invalid_target"),
        ({"request": "eyJ.e.x"}, "request_not_supported"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ({"authorization_details": "[]"}, "invalid_request"),
        ({"prompt": "none"}, "interaction_required"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1000000001"}, "invalid_request"),
        ({"scope": "files:read \u00e9"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_other_faults_travel_to_a_trusted_client(broker: BrokerUnderTest, changes: dict[str, str], error: str):
    """RFC 6749 section 4.1.2.1; security rules C6, C7, C9, C11, C12: with state and the exact issuer."""
    answer = await broker.browser().authorize(**changes)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(TRUSTED.redirect_uris[0] + "?")
    query = query_of(answer)
    assert (query["error"], query["state"], query["iss"]) == (error, "client-state-0123456789", ISSUER)


async def test_an_age_of_thousands_of_digits_is_a_fault_like_any_other(broker: BrokerUnderTest):
    """Security rule C17: Python refuses to read such a number with an error of its own, which once was a 500."""
    for digits in ("0" * 5000, "9" * 5000, "1" * 11):
        answer = await broker.browser().authorize(max_age=digits)
        assert query_of(answer)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "name",
    [
        "client_id",
        "redirect_uri",
        "state",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "response_type",
        "prompt",
    ],
)
async def test_a_repeated_parameter_is_refused(broker: BrokerUnderTest, name: str):
    """RFC 6749 section 3.1; security rule C8."""
    answer = await broker.browser().open(
        broker.authorize_url(scope="files:read", prompt="login") + f"&{name}=x", **HTML
    )
    assert answer.status_code == 400


async def test_resource_may_repeat_but_name_only_one_target(broker: BrokerUnderTest):
    """RFC 8707 section 2; security rules C8, C11."""
    twice = await broker.browser().open(broker.authorize_url() + "&resource=" + quote(FILES.url))
    assert twice.status_code == 200
    two = await broker.browser().open(broker.authorize_url() + "&resource=" + quote(MAIL.url))
    assert query_of(two)["error"] == "invalid_target"


@pytest.mark.parametrize(
    "spelling", ["HTTPS://Files.Example.COM/mcp", "https://files.example.com:443/mcp", FILES.url + "/"]
)
async def test_a_resource_is_matched_tolerantly_and_minted_as_registered(broker: BrokerUnderTest, spelling: str):
    """Decision "resource"."""
    page = await broker.browser().authorize(resource=spelling)
    assert FILES.url in page.text


async def test_request_objects_are_never_fetched(broker: BrokerUnderTest):
    """Security rule C12: the tests refuse every socket, so a fetch would fail loudly; nothing reaches the provider either."""
    answer = await broker.browser().authorize(request_uri="https://idp.example.com/jwks")
    assert query_of(answer)["error"] == "request_uri_not_supported"
    assert broker.idp.requests == []


STATES = [
    *("plain", "a b+c%20d", "\u00e9\u4e2d\U0001f600", "=&?#/;:@", "x" * 4096, "line\nbreak\ttab", "'\"<>\\"),
    *("\U0001f600" * 1024, "\x01" * 4096, '"\\' * 2048),
]


@pytest.mark.parametrize("state", STATES, ids=lambda s: ascii(s[:8]))
async def test_state_survives_byte_for_byte(broker: BrokerUnderTest, state: str):
    """Security rule C16: through the seal, the provider and back."""
    done = await broker.browser().login(state=state)
    raw = urlsplit(done.headers["location"]).query.split("&")
    assert [unquote(part[6:]) for part in raw if part.startswith("state=")] == [state]


@pytest.mark.parametrize("client_id", ["trusted", "native"])
@pytest.mark.parametrize(
    "raw", ["state=%ff%fe", "state=%00", "state=" + "x" * 4097, "state=" + "%F0%9F%98%80" * 1025, "state=" + "x" * 9000]
)
async def test_a_state_that_cannot_be_carried_is_refused(broker: BrokerUnderTest, client_id: str, raw: str):
    """Security rule C16: by a page of ours with 400, whoever the client is; a redirect without its state would be no answer."""
    uri = {"trusted": "https://trusted.example.com/cb", "native": "http://127.0.0.1:5000/callback"}[client_id]
    url = broker.authorize_url(state=None, client_id=client_id, redirect_uri=uri) + "&" + raw
    answer = await broker.browser().open(url, **HTML)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert not Form(answer.text).links


async def test_acr_values_beyond_all_measure_leave_the_page_usable(broker: BrokerUnderTest):
    """Security rules C16, C17: what the page carries fits the form that brings it back."""
    browser = broker.browser()
    page = await browser.authorize(acr_values="x" * 45_000 + " gold", state="\x01" * 4096)
    assert (await browser.answer(page, "provider", "corp")).status_code == 303


async def test_state_may_be_absent(broker: BrokerUnderTest):
    """PKCE protects; the answer then has none either."""
    done = await broker.browser().login(state=None)
    assert set(query_of(done)) == {"code", "iss"}


async def test_a_stranger_gets_a_page_instead_of_an_error_redirect(broker: BrokerUnderTest):
    """Security rule C5: open registration must not be an open redirector; prompt=none included."""
    async with broker.http() as http:
        made = await http.post(
            f"{ISSUER}/register",
            json={"redirect_uris": ["https://stranger.example/cb"], "token_endpoint_auth_method": "none"},
        )
    mine = {"client_id": made.json()["client_id"], "redirect_uri": "https://stranger.example/cb"}
    for fault in ({"prompt": "none"}, {"resource": "https://other.example/"}, {"code_challenge": None}):
        answer = await broker.browser().authorize(**mine, **fault)
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert Form(answer.text).links[0].startswith("https://stranger.example/cb?error=")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "files:read"),
        ("files:write files:read", "files:read files:write"),
        ("openid email profile", "files:read"),
        ("files:write offline_access nonsense", "files:write"),
    ],
)
async def test_scopes_are_of_the_resource_and_echoed(broker: BrokerUnderTest, asked: str | None, granted: str):
    """Security rule C10; decision "scope": unknown ones dropped, none known means the defaults, offline_access never granted."""
    code = await broker.browser().code(scope=asked)
    tokens = (await broker.redeem(code)).json()
    assert sorted(tokens["scope"].split()) == sorted(granted.split())


@pytest.mark.parametrize(
    ("scope", "asked", "error"),
    [
        ("files:read", "files:read files:write", None),
        ("files:write", "files:read", "invalid_scope"),
        ("mail:read", None, "invalid_scope"),
    ],
)
async def test_a_client_asks_for_no_more_than_its_own_scope(
    tmp_path: Path, scope: str, asked: str | None, error: str | None
):
    """Security rule C10: what a client is not allowed is neither shown nor granted; nothing left is invalid_scope."""
    async with running(tmp_path, clients=(replace(TRUSTED, scope=scope),)) as broker:
        page = await broker.browser().authorize(scope=asked)
        if error is None:
            assert FILES.scopes["files:read"] in page.text
            assert FILES.scopes["files:write"] not in page.text
        else:
            assert query_of(page)["error"] == error


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_methods_are_what_they_should_be(broker: BrokerUnderTest, method: str):
    """Security rule C15."""
    async with broker.http() as http:
        assert (await http.request(method, broker.authorize_url())).status_code == 405
        assert (await http.get(f"{ISSUER}/consent")).status_code == 405
        assert (await http.get(f"{ISSUER}/token")).status_code == 405


async def test_every_redirect_after_a_post_is_a_303(broker: BrokerUnderTest):
    """Security rule C13: a 307 would send the form to the provider."""
    browser = broker.browser()
    answer = await browser.answer(await browser.authorize(), "provider", "corp")
    denied = await browser.answer(await browser.authorize(), "decision", "deny")
    assert [answer.status_code, denied.status_code] == [303, 303]


async def test_no_page_leaks_its_address_or_loads_from_others(broker: BrokerUnderTest):
    """Security rule C14."""
    browser = broker.browser()
    page = await browser.authorize()
    assert page.headers["referrer-policy"] == "same-origin"
    assert "src=" not in page.text
    assert "@import" not in page.text
    assert "url(" not in page.text


async def test_hints_are_passed_on_bounded_and_never_trusted(broker: BrokerUnderTest):
    """Security rule C17: login_hint reaches the provider; it does not decide who signed in."""
    browser = broker.browser()
    page = await browser.authorize(login_hint="bob", acr_values="x " * 50)
    await browser.answer(page, "provider", "corp")
    done = await browser.login(login_hint="nobody-" + "x" * 500)
    assert done.status_code == 303


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(
        st.sampled_from(
            [
                *("client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method", "resource"),
                *("scope", "state", "prompt", "max_age", "acr_values", "response_mode", "login_hint", "unknown"),
            ]
        ),
        st.text(max_size=60),
        max_size=5,
    )
)
async def test_no_input_gives_a_server_error_or_a_redirect_to_a_stranger(
    broker: BrokerUnderTest, changes: dict[str, str]
):
    """Bad input: every refusal is a page or the right OAuth error (the harness checks status, no-store and target)."""
    answer = await broker.browser().authorize(**changes)
    assert answer.status_code in (200, 303, 400)


@pytest.mark.parametrize("asked", ["openid profile", "mail:read", "offline_access", "files:delete"])
async def test_a_refresh_that_asks_nothing_known_is_as_one_that_asks_nothing(broker: BrokerUnderTest, asked: str):
    """Architecture section 5 (unknown scopes are dropped, none known means the defaults), RFC 6749 section 6; rules C10, E9.

    The default of a refresh is what was granted. Clients send `openid profile` out of habit, and throw their tokens away on an error;
    nothing that was not granted is ever given, another resource's scope included.
    """
    first = (await broker.redeem(await broker.browser().code(scope="files:read"))).json()
    again = (await broker.refresh(first["refresh_token"], scope=asked)).json()
    assert again["scope"] == "files:read"
    refused = await broker.refresh(again["refresh_token"], scope=f"{asked} files:write")
    assert refused.json()["error"] == "invalid_scope"
