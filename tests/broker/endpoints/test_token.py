from __future__ import annotations

from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model import ClientSource
from tests.broker.records import ISSUER, VERIFIER, make_client
from tests.broker.token_house import CONFIDENTIAL, ONE_SHOT, PUBLIC, SECRET, TokenHouse

TOKEN = ISSUER + "/token"
DOCUMENT = make_client(
    client_id="https://app.example.com/client.json",
    source=ClientSource.METADATA_DOCUMENT,
    redirect_uris=("https://app.example.com/callback",),
)
FORM = "application/x-www-form-urlencoded"


async def post(house: TokenHouse, body: str | bytes, *, content_type: str = FORM, url: str = TOKEN) -> httpx2.Response:
    async with house.http() as http:
        return await http.post(url, content=body, headers={"content-type": content_type})


def body_for(code: str, **more: str) -> str:
    fields = {
        "grant_type": "authorization_code",
        "client_id": PUBLIC.client_id,
        "code": code,
        "code_verifier": VERIFIER,
    }
    return "&".join(f"{name}={value}" for name, value in (fields | more).items())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_only_post_is_answered(house: TokenHouse, method: str):
    """RFC 6749 section 3.2; security rules C15, E15."""
    code = await house.login()
    async with house.http() as http:
        assert (await http.request(method, f"{TOKEN}?{body_for(code)}")).status_code == 405
    assert (await house.redeem(code)).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"grant_type":"authorization_code"}', "application/json"),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
        (b"grant_type=authorization_code", "text/plain"),
        (b"grant_type=authorization_code", ""),
        (b"\xff\xfe", FORM),
        (b"grant_type=%ff", FORM),
        (b"grant_type=a%00b", FORM),
        (b"a=1&" * 200, FORM),
        (b"a=" + b"1" * 70_000, FORM),
    ],
)
async def test_only_a_urlencoded_body_is_read(house: TokenHouse, body: bytes, content_type: str):
    """RFC 6749 section 3.2; security rules E15, G5, G6."""
    response = await post(house, body, content_type=content_type)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_nothing_is_read_from_the_query(house: TokenHouse):
    """RFC 6749 section 2.3.1; security rule E15."""
    code = await house.login()
    assert (await post(house, "", url=f"{TOKEN}?{body_for(code)}")).status_code == 401
    split = await post(house, body_for(code).replace(f"&code={code}", ""), url=f"{TOKEN}?code={code}")
    assert split.json()["error"] == "invalid_request"
    assert (await house.redeem(code)).status_code == 200


@pytest.mark.parametrize("name", ["grant_type", "client_id", "code", "code_verifier", "unknown"])
async def test_a_repeated_parameter_is_refused(house: TokenHouse, name: str):
    """RFC 6749 section 3.2; security rule C8."""
    code = await house.login()
    response = await post(house, body_for(code, unknown="1") + f"&{name}=x")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert (await house.redeem(code)).status_code == 200


async def test_two_distinct_resources_are_refused(house: TokenHouse):
    """RFC 8707 section 2.2; security rules C8, C11."""
    code = await house.login()
    two = "&resource=https://files.example.com/mcp&resource=https://mail.example.com/mcp"
    assert (await post(house, body_for(code) + two)).json()["error"] == "invalid_target"
    one = "&resource=https://files.example.com/mcp&resource=https://files.example.com/mcp/"
    assert (await post(house, body_for(code) + one)).status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}, 400, "unsupported_grant_type"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": ""}, 401, "invalid_client"),
        ({"client_id": CONFIDENTIAL.client_id}, 401, "invalid_client"),
    ],
)
async def test_refusals_have_the_code_and_status_that_clients_rely_on(
    house: TokenHouse, form: dict[str, Any], status: int, error: str
):
    """RFC 6749 section 5.2."""
    code = await house.login()
    response = await house.redeem(code, **form)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert set(response.json()) == {"error", "error_description"}
    assert response.headers["content-type"] == "application/json"
    assert (await house.redeem(code)).status_code == 200


async def test_a_wrong_secret_sent_by_basic_gets_the_challenge(house: TokenHouse):
    """RFC 6749 section 5.2; security rule E12."""
    response = await house.redeem(await house.login(client=CONFIDENTIAL), auth=(CONFIDENTIAL.client_id, "x" * 40))
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic ")


async def test_a_client_uses_only_its_grant_types(house: TokenHouse):
    """RFC 6749 section 5.2; security rule E17."""
    body = await house.tokens()
    refused = await house.refresh(body["refresh_token"], client=ONE_SHOT)
    assert refused.json()["error"] == "unauthorized_client"
    assert (await house.refresh(body["refresh_token"])).status_code == 200


async def test_a_confidential_client_may_send_its_secret_either_way(house: TokenHouse):
    """RFC 6749 section 2.3.1; security rule E12: clients mix the two up."""
    basic = await house.redeem(
        await house.login(client=CONFIDENTIAL), client=CONFIDENTIAL, auth=(CONFIDENTIAL.client_id, SECRET)
    )
    posted = await house.redeem(await house.login(client=CONFIDENTIAL), client=CONFIDENTIAL, client_secret=SECRET)
    assert (basic.status_code, posted.status_code) == (200, 200)


async def test_a_client_with_a_metadata_document_causes_no_fetch(house: TokenHouse):
    """Architecture, section 5, registration: a grant keeps its client; a host that is down ends nobody's grant."""
    body = await house.tokens(client=DOCUMENT)
    assert (await house.refresh(body["refresh_token"], client=DOCUMENT)).status_code == 200


async def test_a_missing_row_and_a_foreign_one_look_the_same_for_such_a_client(house: TokenHouse):
    """Security rule E14: neither brings a snapshot, so both ask the document's host."""
    body = await house.tokens()
    foreign = await house.refresh(body["refresh_token"], client=DOCUMENT)
    missing = await house.refresh("rt_" + "a" * 24 + ".1." + "A" * 43, client=DOCUMENT)
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)
    assert foreign.json()["error"] == "invalid_client"


async def test_a_blocked_client_is_refused_like_an_unknown_one(house: TokenHouse):
    """Security rule E14."""
    body = await house.tokens()
    await house.store.block_client(PUBLIC.client_id, blocked=True, events=[])
    house.clock.forward(1)
    blocked = await house.refresh(body["refresh_token"])
    unknown = await house.refresh(body["refresh_token"], client=make_client(client_id="nobody"))
    assert (blocked.status_code, blocked.content) == (unknown.status_code, unknown.content) == (401, unknown.content)


FIELDS = ("grant_type", "client_id", "client_secret", "code", "code_verifier", "refresh_token", "resource", "scope")
VALUES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ("authorization_code", "refresh_token", "client-1", "client-3", VERIFIER, "https://files.example.com/mcp")
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_no_form_is_answered_with_tokens_or_a_server_error(opened_house: Any, form: dict[str, str]):
    """Issue of bad input: every refusal is an OAuth error; security rules E14, E15."""
    response = opened_house(lambda house: house.post("/token", form))
    assert response.status_code in (400, 401)
    assert response.json()["error"] in {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_target",
        "invalid_scope",
        "unsupported_grant_type",
        "unauthorized_client",
    }


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300))
def test_no_body_is_answered_with_a_server_error(opened_house: Any, body: bytes):
    """Security rules E12, E15, G6."""
    response = opened_house(lambda house: post(house, b"grant_type=authorization_code&" + body))
    assert response.status_code in (400, 401)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 42), character=st.characters(codec="utf-8"))
def test_a_changed_character_makes_a_code_worthless(opened_house: Any, position: int, character: str):
    """Security rule F6; and the true code is none the worse for it (rule E4)."""

    async def ask(house: TokenHouse) -> tuple[int, int]:
        code = await house.login()
        changed = code[:position] + character + code[position + 1 :]
        if changed == code:
            return 400, 200
        return (await house.redeem(changed)).status_code, (await house.redeem(code)).status_code

    assert opened_house(ask) == (400, 200)
