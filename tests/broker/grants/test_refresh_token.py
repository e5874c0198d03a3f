from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.protocol import refresh_token
from broker.settings import DAY, PolicyRule
from tests.broker.token_house import (
    CONFIDENTIAL,
    FILES,
    MAIL,
    OTHER,
    PUBLIC,
    SECRET,
    TokenHouse,
    decoded,
    faulty,
    open_house,
    unavailable,
)


async def refreshed(house: TokenHouse, token: str, **form: Any) -> dict[str, Any]:
    response = await house.refresh(token, **form)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def refused(house: TokenHouse, token: str, **form: Any) -> str:
    response = await house.refresh(token, **form)
    assert response.status_code in (400, 401), response.text
    return str(response.json()["error"])


async def test_every_refresh_rotates(house: TokenHouse):
    """RFC 9700 section 4.14.2; security rule E6."""
    first = await house.tokens()
    second = await refreshed(house, first["refresh_token"])
    third = await refreshed(house, second["refresh_token"])
    tokens = [first, second, third]
    assert len({t["refresh_token"] for t in tokens}) == len({t["access_token"] for t in tokens}) == 3
    assert {t["scope"] for t in tokens} == {"files:read files:write"}
    claims = [decoded(t["access_token"])[1] for t in tokens]
    assert len({c["jti"] for c in claims}) == 3
    assert {c["aud"] for c in claims} == {FILES.url}
    assert {c["grant_id"] for c in claims} == {claims[0]["grant_id"]}


async def test_every_caller_of_a_concurrent_refresh_ends_with_a_live_pair(house: TokenHouse):
    """Security rules E6, E7: sixteen processes of one client with one token; one rotates, all get the same successor."""
    first = await house.tokens()
    answers: list[dict[str, Any]] = []

    async def refresh() -> None:
        answers.append(await refreshed(house, first["refresh_token"]))

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(refresh)
    assert len(answers) == 16
    assert len({a["refresh_token"] for a in answers}) == 1
    assert len({a["access_token"] for a in answers}) == 16
    assert [await house.active(a["access_token"]) for a in answers] == [True] * 16
    assert len(await house.events("token.refreshed")) == 1
    assert len(await house.events("token.refresh_repeated")) == 15
    assert (await house.refresh(answers[0]["refresh_token"])).status_code == 200


async def test_a_lost_answer_is_repeated_within_grace(house: TokenHouse):
    """Security rule E7."""
    first = await house.tokens()
    lost = await refreshed(house, first["refresh_token"])
    house.clock.forward(119)
    again = await refreshed(house, first["refresh_token"])
    assert again["refresh_token"] == lost["refresh_token"]
    assert (await house.refresh(lost["refresh_token"])).status_code == 200


async def test_the_predecessor_after_grace_is_reuse(house: TokenHouse):
    """Security rules E6, E8."""
    first = await house.tokens()
    second = await refreshed(house, first["refresh_token"])
    house.clock.forward(120)
    assert await refused(house, first["refresh_token"]) == "invalid_grant"
    assert await refused(house, second["refresh_token"]) == "invalid_grant"
    assert not await house.active(second["access_token"])
    names = [e["name"] for e in await house.events("token.refresh_reused", "grant.revoked")]
    assert names == ["token.refresh_reused", "grant.revoked"]


async def test_any_genuine_older_token_ends_the_grant_however_old_it_is(house: TokenHouse):
    """Security rule E6."""
    chain = [await house.tokens()]
    for _ in range(30):
        house.clock.forward(DAY)
        chain.append(await refreshed(house, chain[-1]["refresh_token"]))
    house.clock.forward(DAY)
    assert await refused(house, chain[0]["refresh_token"]) == "invalid_grant"
    assert await refused(house, chain[-1]["refresh_token"]) == "invalid_grant"


async def test_an_older_token_within_grace_is_refused_and_ends_nothing(house: TokenHouse):
    """Security rule E8."""
    first = await house.tokens()
    second = await refreshed(house, first["refresh_token"])
    third = await refreshed(house, second["refresh_token"])
    assert await refused(house, first["refresh_token"]) == "invalid_grant"
    assert await house.active(third["access_token"])
    assert (await house.refresh(third["refresh_token"])).status_code == 200
    (event,) = await house.events("token.refresh_refused")
    assert event["reason"] == "refresh_raced"


async def test_a_token_newer_than_the_row_is_refused_and_ends_nothing(house: TokenHouse):
    """Architecture, section 5: a restored backup, a standby behind."""
    first = await house.tokens()
    _, handle, generation, _ = first["refresh_token"].replace("rt_", "rt_.").split(".")
    key = house.keys.mac_key(house.keys.mac_key_id)
    assert key is not None
    newer = refresh_token.mint(key, handle, int(generation) + 5)
    assert await refused(house, newer) == "invalid_grant"
    assert (await house.refresh(first["refresh_token"])).status_code == 200
    (event,) = await house.events("token.refresh_refused")
    assert (event["reason"], event["generation"]) == ("refresh_future", 6)


async def test_reuse_is_judged_after_client_authentication_only(house: TokenHouse):
    """Security rule E6: somebody else's client, or a wrong secret, ends nothing."""
    first = await house.tokens()
    second = await refreshed(house, first["refresh_token"])
    house.clock.forward(600)
    assert await refused(house, first["refresh_token"], client=OTHER) == "invalid_grant"
    assert await house.active(second["access_token"])
    assert not await house.events("token.refresh_reused")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"client": OTHER}, "invalid_grant"),
        ({"resource": MAIL.url}, "invalid_target"),
        ({"resource": "files"}, "invalid_target"),
        ({"scope": 'files:read"'}, "invalid_scope"),
        ({"authorization_details": "[]"}, "invalid_request"),
        ({"client_id": "nobody"}, "invalid_client"),
    ],
)
async def test_a_failed_refresh_rotates_nothing(house: TokenHouse, wrong: dict[str, Any], error: str):
    """Security rule E9."""
    first = await house.tokens()
    assert await refused(house, first["refresh_token"], **wrong) == error
    assert not await house.events("token.refreshed")
    assert (await house.refresh(first["refresh_token"])).status_code == 200


async def test_a_narrower_scope_narrows_the_access_token_only(house: TokenHouse):
    """RFC 6749 section 6; security rule E9."""
    first = await house.tokens()
    narrow = await refreshed(house, first["refresh_token"], scope="files:read")
    assert narrow["scope"] == decoded(narrow["access_token"])[1]["scope"] == "files:read"
    assert (await refreshed(house, narrow["refresh_token"]))["scope"] == "files:read files:write"


async def test_a_wider_scope_is_refused(house: TokenHouse):
    """RFC 6749 section 6; security rules C10, E9."""
    first = await house.tokens(scopes=("files:read",))
    assert await refused(house, first["refresh_token"], scope="files:read files:write") == "invalid_scope"
    habitual = await refreshed(house, first["refresh_token"], scope="openid files:read offline_access")
    assert habitual["scope"] == "files:read"


async def test_the_resource_may_be_named_again(house: TokenHouse):
    """RFC 8707 section 2.2; security rule C11."""
    first = await house.tokens()
    second = await refreshed(house, first["refresh_token"], resource=FILES.url + "/")
    assert decoded(second["access_token"])[1]["aud"] == FILES.url


async def test_a_resource_that_is_gone_gets_no_token_and_keeps_its_grant(tmp_path: Path):
    """RFC 8707 section 2: invalid_target, which no client takes for the end of its grant."""
    async with open_house(tmp_path) as house:
        first = await house.tokens()
    async with open_house(tmp_path, resources=(MAIL,)) as house:
        assert await refused(house, first["refresh_token"]) == "invalid_target"
    async with open_house(tmp_path) as house:
        assert (await house.refresh(first["refresh_token"])).status_code == 200


async def test_a_policy_with_fewer_scopes_grants_fewer(tmp_path: Path):
    """Architecture, section 5: policy is decided in every refresh; security rule C10."""
    async with open_house(tmp_path) as house:
        first = await house.tokens()
    async with open_house(tmp_path, policy=(PolicyRule(name="readers", scopes=("files:read",)),)) as house:
        assert (await refreshed(house, first["refresh_token"]))["scope"] == "files:read"


async def test_a_client_whose_scope_shrank_gets_less_at_its_next_refresh(tmp_path: Path):
    """Security rule C10: allowed for the client, as the administrator has it now; the grant is kept."""
    async with open_house(tmp_path) as house:
        token = (await house.tokens())["refresh_token"]
    for scope, outcome in (("files:read", "files:read"), ("mail:read", None), (None, "files:read files:write")):
        async with open_house(tmp_path, clients=(replace(PUBLIC, scope=scope),)) as house:
            if outcome is None:
                assert await refused(house, token) == "invalid_grant"
                continue
            assert scope is None or await refused(house, token, scope="files:write") == "invalid_scope"
            body = await refreshed(house, token)
            assert body["scope"] == outcome
            token = body["refresh_token"]


async def test_a_refusal_by_policy_keeps_the_grant(tmp_path: Path):
    """Architecture, section 7: on refresh invalid_grant, audited; a rule's mistake can be mended."""
    async with open_house(tmp_path) as house:
        first = await house.tokens()
    async with open_house(tmp_path, policy=(PolicyRule(name="others", user=("u_bob",)),)) as house:
        assert await refused(house, first["refresh_token"]) == "invalid_grant"
        (event,) = await house.events("token.refresh_refused")
        assert (event["reason"], event["rule"]) == ("policy", "no match")
    async with open_house(tmp_path) as house:
        assert (await house.refresh(first["refresh_token"])).status_code == 200


async def test_a_grant_dies_when_it_is_not_used(house: TokenHouse):
    """Architecture, section 7: REFRESH_TOKEN_TTL is idle."""
    first = await house.tokens()
    house.clock.forward(30 * DAY - 1)
    second = await refreshed(house, first["refresh_token"])
    house.clock.forward(30 * DAY)
    assert await refused(house, second["refresh_token"]) == "invalid_grant"


async def test_a_grant_dies_at_its_absolute_end_and_no_token_outlives_it(house: TokenHouse):
    """Architecture, section 7: GRANT_TTL is absolute; security rule F4."""
    last = await house.tokens()
    for _ in range(4):
        house.clock.forward(20 * DAY)
        last = await refreshed(house, last["refresh_token"])
    house.clock.forward(10 * DAY - 60)
    last = await refreshed(house, last["refresh_token"])
    assert last["expires_in"] == 60
    house.clock.forward(60)
    assert await refused(house, last["refresh_token"]) == "invalid_grant"
    assert not await house.active(last["access_token"])


async def test_what_was_revoked_stays_revoked_after_a_restart(tmp_path: Path):
    """Security rule E11."""
    async with open_house(tmp_path) as house:
        first = await house.tokens()
        assert (
            await house.post("/revoke", {"client_id": PUBLIC.client_id, "token": first["refresh_token"]})
        ).is_success
    async with open_house(tmp_path) as house:
        assert await refused(house, first["refresh_token"]) == "invalid_grant"
        assert not await house.active(first["access_token"])


async def test_a_new_master_key_changes_no_token(tmp_path: Path):
    """Architecture, section 5: the MAC key is kept sealed and named in the row."""
    async with open_house(tmp_path) as house:
        first = await house.tokens()
    async with open_house(tmp_path, master_keys=(b"n" * 32, b"m" * 32)) as house:
        assert await house.keys.reseal() == 3
    async with open_house(tmp_path, master_keys=(b"n" * 32,)) as house:
        assert (await house.refresh(first["refresh_token"])).status_code == 200


async def test_a_confidential_client_authenticates_at_every_refresh(house: TokenHouse):
    """RFC 6749 section 6; security rule E12."""
    code = await house.login(client=CONFIDENTIAL)
    auth = (CONFIDENTIAL.client_id, SECRET)
    first = (await house.redeem(code, client=CONFIDENTIAL, auth=auth)).json()
    assert await refused(house, first["refresh_token"], client=CONFIDENTIAL) == "invalid_client"
    assert await refused(house, first["refresh_token"], auth=(auth[0], "x" * 40)) == "invalid_client"
    assert (await house.refresh(first["refresh_token"], auth=auth)).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "rt_", "unknown", "rt_" + "a" * 24 + ".1." + "A" * 43, "\N{SNOWMAN}", "x" * 9000]
)
async def test_an_unknown_token_is_refused(house: TokenHouse, token: str):
    """RFC 6749 section 5.2; security rule F6."""
    assert await refused(house, token) == ("invalid_grant" if token else "invalid_request")


@pytest.mark.parametrize("position", [0, 3, 10, 26, 28, 30, 50, -1])
async def test_a_changed_character_is_refused_and_ends_nothing(house: TokenHouse, position: int):
    """Security rule F6."""
    first = await house.tokens()
    good = first["refresh_token"]
    other = "A" if good[position] != "A" else "B"
    changed = good[:position] + other + (good[position + 1 :] if position != -1 else "")
    assert await refused(house, changed) == "invalid_grant"
    assert (await house.refresh(good)).status_code == 200


async def test_no_other_kind_of_token_refreshes(house: TokenHouse):
    """Security rule E10."""
    code = await house.login()
    body = (await house.redeem(code)).json()
    assert await refused(house, body["access_token"]) == "invalid_grant"
    assert await refused(house, code) == "invalid_grant"
    assert (await house.redeem(body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_missing_grant_and_a_foreign_one_look_the_same(house: TokenHouse):
    """Security rule E14."""
    foreign = await house.refresh((await house.tokens())["refresh_token"], client=OTHER)
    missing = await house.refresh("rt_" + "a" * 24 + ".1." + "A" * 43, client=OTHER)
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)


@pytest.mark.parametrize("verb", ["find_grant_by_handle", "rotate_refresh_token"])
async def test_an_outage_is_never_invalid_grant(house: TokenHouse, verb: str):
    """Architecture, section 4: 503 with Retry-After, never an error that makes clients throw their state away."""
    first = await house.tokens()
    down = await faulty(house, **{verb: unavailable}).refresh(first["refresh_token"])
    assert (down.status_code, down.headers["retry-after"]) == (503, "5")
    assert (await house.refresh(first["refresh_token"])).status_code == 200


async def test_a_replica_whose_reads_lag_asks_for_patience(house: TokenHouse):
    """Architecture, section 4: whoever is behind answers 503, and the client keeps its token."""
    first = await house.tokens()
    stale = await house.store.find_grant(decoded(first["access_token"])[1]["grant_id"])
    await refreshed(house, first["refresh_token"])

    async def lagging(*_: Any) -> Any:
        return stale

    behind = faulty(house, find_grant=lagging, find_grant_by_handle=lagging)
    answer = await behind.refresh(first["refresh_token"])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_grant_purged_while_it_is_refreshed_is_gone(house: TokenHouse):
    """RFC 6749 section 5.2."""
    first = await house.tokens()

    async def lost(*_: Any, **__: Any) -> bool:
        return False

    async def gone(*_: Any) -> None:
        return None

    assert await refused(faulty(house, rotate_refresh_token=lost, find_grant=gone), first["refresh_token"]) == (
        "invalid_grant"
    )


async def test_a_revocation_that_arrives_during_a_refresh_wins(house: TokenHouse):
    """Security rule E11: the row is asked in the statement that rotates."""
    first = await house.tokens()
    grant_id = decoded(first["access_token"])[1]["grant_id"]
    find = house.store.find_grant_by_handle

    async def revoked_just_after(handle: str) -> Any:
        grant = await find(handle)
        await house.store.revoke_grant(grant_id, now=house.clock.now(), reason="test", events=[])
        return grant

    assert await refused(faulty(house, find_grant_by_handle=revoked_just_after), first["refresh_token"]) == (
        "invalid_grant"
    )


async def test_a_grant_of_another_installation_gets_no_token(house: TokenHouse):
    """Security rule G11: a row alone mints nothing."""
    first = await house.tokens()
    find = house.store.find_grant_by_handle

    async def foreign_key(handle: str) -> Any:
        grant = await find(handle)
        return replace(grant, mac_key_id="unknown") if grant else None

    assert await refused(faulty(house, find_grant_by_handle=foreign_key), first["refresh_token"]) == "invalid_grant"
