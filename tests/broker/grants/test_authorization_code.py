from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.model import digest
from broker.settings import PolicyRule
from tests.broker.records import NOW, REDIRECT_URI
from tests.broker.token_house import (
    FILES,
    MAIL,
    NATIVE,
    ONE_SHOT,
    OTHER,
    PUBLIC,
    SOURCE,
    TokenHouse,
    decoded,
    faulty,
    open_house,
    unavailable,
)

WRONG = "w" * 43


async def test_a_code_becomes_an_access_token_for_its_resource(house: TokenHouse):
    """RFC 6749 section 5.1, RFC 9068 section 2; security rules C10, C11, F5."""
    response = await house.redeem(await house.login(), redirect_uri=REDIRECT_URI, resource=FILES.url)
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 900, "files:read files:write")
    header, claims = decoded(body["access_token"])
    assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
    assert claims["aud"] == FILES.url
    assert not {"email", "name", "groups"} & claims.keys()
    assert response.headers["cache-control"] == "no-store"


async def test_the_resource_may_be_spelled_as_libraries_do_and_is_minted_as_registered(house: TokenHouse):
    """RFC 8707 section 2.2; security rule C11."""
    body = (await house.redeem(await house.login(), resource="HTTPS://Files.example.com:443/mcp/")).json()
    assert decoded(body["access_token"])[1]["aud"] == FILES.url


async def test_a_resource_may_have_its_own_algorithm_type_and_lifetime(tmp_path: Path):
    """Architecture, section 7: SIGNING_ALG, TOKEN_TYP and ACCESS_TOKEN_TTL of a resource."""
    mail = replace(MAIL, access_token_ttl=3600)
    async with open_house(tmp_path, resources=(FILES, mail)) as house:
        body = await house.tokens(resource=mail.url, scopes=("mail:read",))
        header, claims = decoded(body["access_token"])
        assert (header["alg"], header["typ"], body["expires_in"]) == ("EdDSA", "JWT", 3600)
        assert claims["exp"] - claims["iat"] == 3600


async def test_only_one_of_sixteen_redemptions_succeeds(house: TokenHouse):
    """Security rules E1, E3: one winner, and the client's own retries end nothing."""
    code = await house.login()
    answers: list[Any] = []

    async def redeem() -> None:
        answers.append(await house.redeem(code))

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(redeem)
    won = [a for a in answers if a.status_code == 200]
    assert len(won) == 1
    assert {a.json()["error"] for a in answers if a.status_code != 200} == {"invalid_grant"}
    assert await house.active(won[0].json()["access_token"])
    assert (await house.refresh(won[0].json()["refresh_token"])).status_code == 200


async def test_a_retry_within_five_seconds_is_refused_and_ends_nothing(house: TokenHouse):
    """Security rule E1."""
    code = await house.login()
    first = (await house.redeem(code)).json()
    house.clock.forward(5)
    assert (await house.redeem(code)).json()["error"] == "invalid_grant"
    assert await house.active(first["access_token"])


@pytest.mark.parametrize("seconds", [6, 3600])
async def test_a_later_replay_with_proof_ends_what_the_code_gave(house: TokenHouse, seconds: int):
    """RFC 6749 section 4.1.2; security rule E1: even long after the code expired."""
    code = await house.login()
    first = (await house.redeem(code)).json()
    house.clock.forward(seconds)
    assert (await house.redeem(code)).json()["error"] == "invalid_grant"
    assert not await house.active(first["access_token"])
    assert (await house.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert [e["name"] for e in await house.events("code.replayed", "grant.revoked")] == [
        "code.replayed",
        "grant.revoked",
    ]


@pytest.mark.parametrize(
    "wrong", [{"code_verifier": WRONG}, {"client": OTHER}, {"redirect_uri": "https://client.example.com/other"}]
)
async def test_a_replay_without_proof_changes_nothing(house: TokenHouse, wrong: dict[str, Any]):
    """Security rule E2."""
    code = await house.login()
    first = (await house.redeem(code)).json()
    house.clock.forward(60)
    assert (await house.redeem(code, **wrong)).json()["error"] == "invalid_grant"
    assert await house.active(first["access_token"])
    assert not await house.events("code.replayed", "code.attempt_failed")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"code_verifier": WRONG}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"client": OTHER}, "invalid_grant"),
        ({"redirect_uri": REDIRECT_URI + "/"}, "invalid_grant"),
        ({"resource": MAIL.url}, "invalid_target"),
        ({"resource": "https://unknown.example.com/mcp"}, "invalid_target"),
        ({"resource": "/mcp"}, "invalid_target"),
        ({"resource": FILES.url + "#part"}, "invalid_target"),
        ({"authorization_details": "[]"}, "invalid_request"),
    ],
)
async def test_a_wrong_attempt_does_not_spend_the_code(house: TokenHouse, wrong: dict[str, Any], error: str):
    """RFC 6749 section 5.2, RFC 8707 section 2; security rules E4, C6, C11."""
    code = await house.login()
    refused = await house.redeem(code, **wrong)
    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert (await house.redeem(code)).status_code == 200


async def test_five_wrong_verifiers_spend_the_code(house: TokenHouse):
    """Security rule E4."""
    code = await house.login()
    for _ in range(5):
        assert (await house.redeem(code, code_verifier=WRONG)).json()["error"] == "invalid_grant"
    assert (await house.redeem(code)).json()["error"] == "invalid_grant"
    assert len(await house.events("code.attempt_failed")) == 5


async def test_a_code_lives_sixty_seconds(house: TokenHouse):
    """Security rule E5."""
    early, late = await house.login(), await house.login()
    house.clock.forward(59)
    assert (await house.redeem(early)).status_code == 200
    house.clock.forward(1)
    assert (await house.redeem(late)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("code", ["", "unknown", "x" * 5000, "\N{SNOWMAN}"])
async def test_an_unknown_code_is_refused(house: TokenHouse, code: str):
    """RFC 6749 section 5.2."""
    error = (await house.redeem(code)).json()["error"]
    assert error == ("invalid_grant" if code else "invalid_request")


async def test_a_code_whose_grant_was_ended_gives_nothing(house: TokenHouse):
    """Security rule E11."""
    code = await house.login()
    found = await house.store.find_code(digest(code))
    assert found is not None
    await house.store.revoke_grant(found[1].grant_id, now=NOW, reason="test", events=[])
    assert (await house.redeem(code)).json()["error"] == "invalid_grant"


async def test_a_client_without_the_refresh_grant_gets_no_refresh_token(house: TokenHouse):
    """Security rule E17; the grant ends with its one access token."""
    body = await house.tokens(client=ONE_SHOT)
    assert "refresh_token" not in body
    assert await house.active(body["access_token"])
    house.clock.forward(body["expires_in"])
    assert not await house.active(body["access_token"])


async def test_the_policy_is_asked_as_it_is_now(tmp_path: Path):
    """Architecture, section 7: only some scopes permitted, only those granted; security rule C10."""
    rule = PolicyRule(name="readers", scopes=("files:read",), access_token_ttl=60)
    async with open_house(tmp_path, policy=(rule,)) as house:
        body = await house.tokens()
        assert (body["scope"], body["expires_in"]) == ("files:read", 60)
        assert decoded(body["access_token"])[1]["scope"] == "files:read"


async def test_a_person_whom_policy_refuses_gets_nothing_and_the_code_is_kept(tmp_path: Path):
    """Architecture, section 7; the refusal is audited with the rule that decided."""
    async with open_house(tmp_path, policy=(PolicyRule(name="others", user=("u_bob",)),)) as house:
        code = await house.login()
        assert (await house.redeem(code)).json()["error"] == "invalid_grant"
        (refused,) = await house.events("token.refused")
        assert refused["rule"] == "no match"
        found = await house.store.find_code(digest(code))
        assert found is not None
        assert found[0].redeemed_at is None


@pytest.mark.parametrize(("mode", "status"), [("audit", 200), ("enforce", 400)])
async def test_a_loopback_code_redeemed_elsewhere_is_noticed(tmp_path: Path, mode: str, status: int):
    """Security rule A14."""
    async with open_house(tmp_path, loopback_same_source=mode) as house:
        code = await house.login(client=NATIVE, redirect_uri="http://127.0.0.1:5000/callback")
        assert (await house.redeem(code, client=NATIVE, source="198.51.100.9")).status_code == status
        (noticed,) = await house.events("code.source_changed")
        assert (noticed["approved_from"], noticed["redeemed_from"]) == (SOURCE, "198.51.100.9")
        assert noticed["refused"] is (mode == "enforce")


async def test_a_code_for_a_web_client_may_be_redeemed_from_its_server(tmp_path: Path):
    """Security rule A14 is about loopback clients only."""
    async with open_house(tmp_path, loopback_same_source="enforce") as house:
        assert (await house.redeem(await house.login(), source="198.51.100.9")).status_code == 200
        assert not await house.events("code.source_changed")


async def test_a_missing_code_and_a_foreign_one_look_the_same(house: TokenHouse):
    """Security rule E14."""
    foreign = await house.redeem(await house.login(client=OTHER))
    missing = await house.redeem("no-such-code")
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)


@pytest.mark.parametrize("verb", ["find_code", "redeem_code"])
async def test_an_outage_is_never_invalid_grant(house: TokenHouse, verb: str):
    """MCP clients throw their tokens away on invalid_grant; security.md, "Faults survived"."""
    code = await house.login()
    down = await faulty(house, **{verb: unavailable}).redeem(code)
    assert (down.status_code, down.headers["retry-after"]) == (503, "5")
    assert (await house.redeem(code)).status_code == 200


async def test_what_was_issued_is_in_the_audit_trail_and_no_secret_is(house: TokenHouse):
    """Architecture, section 3: no token is answered whose event is not stored; rule G11: nothing in the trail can be used."""
    code = await house.login(client=PUBLIC)
    body = (await house.redeem(code)).json()
    (issued,) = await house.events("token.issued")
    assert issued["jti"] == decoded(body["access_token"])[1]["jti"]
    text = "\n".join(house.log)
    assert not any(secret in text for secret in (code, body["access_token"], body["refresh_token"]))


@pytest.mark.parametrize(("scope", "granted"), [("files:read openid", "files:read"), ("mail:read", None)])
async def test_a_code_gives_nothing_beyond_the_client_s_own_scope(tmp_path: Path, scope: str, granted: str | None):
    """Security rule C10: an administrator may have narrowed the client since the page was shown."""
    async with open_house(tmp_path, clients=(replace(PUBLIC, scope=scope),)) as house:
        response = await house.redeem(await house.login())
        body = response.json()
        assert (body.get("scope"), body.get("error")) == (granted, None if granted else "invalid_grant")
