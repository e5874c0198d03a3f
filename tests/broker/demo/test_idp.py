"""The development identity provider as an OpenID Connect provider: requests, codes, tokens (OpenID Connect Core, RFC 7636, RFC 9207)."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from broker.demo.idp import NotLoopback, create_idp
from broker.demo.idp_memory import RelyingParty
from broker.demo.idp_tokens import half_hash
from tests.broker.demo.browsing import (
    CALLBACK,
    CLIENT,
    ISSUER,
    OTHER,
    VERIFIER,
    World,
    answer,
    basic,
    challenge,
    transaction,
)


@pytest.fixture
def world() -> World:
    return World()


async def claims_of(world: World, token: str) -> dict[str, Any]:
    """Verify a token with the published keys and return its claims."""
    keys = KeySet.import_key_set((await world.http.get("/jwks")).json())
    return dict(jwt.decode(token, keys, algorithms=["RS256"]).claims)


async def test_discovery_describes_what_is_served(world: World) -> None:
    """OpenID Connect Discovery section 3."""
    metadata = (await world.http.get("/.well-known/openid-configuration")).json()

    assert metadata["issuer"] == ISSUER
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"):
        path = metadata[name].removeprefix(ISSUER)
        assert (await world.http.get(path)).status_code != 404, name


async def test_published_keys_have_no_private_part(world: World) -> None:
    """Security rule F3."""
    (key,) = (await world.http.get("/jwks")).json()["keys"]

    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


async def test_a_login_gives_an_id_token_that_says_who_when_and_how(world: World) -> None:
    """OpenID Connect Core sections 2 and 3.1.3.6."""
    tokens = await world.tokens("alice")

    claims = await claims_of(world, tokens["id_token"])
    now = world.clock.now()
    assert claims["iss"] == ISSUER
    assert claims["aud"] == claims["azp"] == "broker"
    assert claims["nonce"] == "n-1"
    assert claims["at_hash"] == half_hash(tokens["access_token"])
    assert (claims["iat"], claims["exp"], claims["auth_time"]) == (now, now + 300, now)
    assert (claims["acr"], claims["amr"]) == ("2", ["pwd", "otp", "mfa"])
    assert claims["sid"]
    assert claims["email"] == "alice@example.com"
    assert claims["email_verified"] is True
    assert claims["groups"] == ["engineering", "on-call"]
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid profile email"


async def test_userinfo_is_about_the_same_person_and_needs_a_token(world: World) -> None:
    """OpenID Connect Core section 5.3."""
    tokens = await world.tokens("bob", scope="openid email")
    good = await world.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    assert good.json()["sub"] == (await claims_of(world, tokens["id_token"]))["sub"]
    assert good.json()["groups"] == ["sales"]
    assert "name" not in good.json()
    for header in ("", "Bearer x", f"Basic {tokens['access_token']}", f"Bearer {tokens['refresh_token']}"):
        refused = await world.http.post("/userinfo", headers={"Authorization": header})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_the_picker_shows_three_people_and_works_without_script(world: World) -> None:
    page = await world.ask()

    assert page.text.count('class="person"') == 3
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"


async def test_a_pick_is_used_once_and_cancel_is_access_denied(world: World) -> None:
    page = await world.ask()
    assert answer(await world.pick(page, ""))["error"] == "access_denied"

    assert (await world.pick(page, "alice")).status_code == 400


async def test_a_pick_from_another_site_or_too_late_is_refused(world: World) -> None:
    page = await world.ask()
    assert (await world.pick(page, "alice", **{"Sec-Fetch-Site": "cross-site"})).status_code == 403
    assert (await world.pick(page, "alice", **{"Sec-Fetch-Site": "same-site"})).status_code == 403

    world.clock.advance(600)

    assert (await world.pick(page, "alice")).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": CALLBACK + "/"}, {"redirect_uri": None}],
)
async def test_a_stranger_or_a_strange_redirect_ends_in_a_page(world: World, changes: dict[str, str | None]) -> None:
    """RFC 6749 section 4.1.2.1: no redirect before the target is trusted."""
    response = await world.ask(**changes)

    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": VERIFIER + "+"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://a.example"}, "request_not_supported"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_a_faulty_request_goes_back_with_its_error_state_and_issuer(
    world: World, changes: dict[str, str | None], error: str
) -> None:
    """RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6, RFC 7636 section 4.4.1, RFC 9207 section 2."""
    assert answer(await world.ask(**changes)) == {"error": error, "state": "st", "iss": ISSUER}


async def test_a_repeated_parameter_is_refused(world: World) -> None:
    """RFC 6749 section 3.1."""
    assert (await world.http.get("/authorize?client_id=broker&client_id=other")).status_code == 400


async def test_a_redirect_uri_with_a_query_keeps_it(world: World) -> None:
    """RFC 6749 section 3.1.2."""
    page = await world.ask(redirect_uri=CALLBACK + "?tenant=a", state=None)

    back = await world.pick(page, "alice")

    assert back.headers["location"].startswith(CALLBACK + "?tenant=a&code=")
    assert set(answer(back)) == {"tenant", "code", "iss"}


async def test_a_live_login_is_reused_unless_the_request_asks_for_a_new_one(world: World) -> None:
    """OpenID Connect Core section 3.1.2.1: prompt, max_age; the same `sid` and `auth_time` while a login lives."""
    first = await claims_of(world, (await world.tokens("alice"))["id_token"])
    world.clock.advance(100)
    silent = await world.redeem(answer(await world.ask(prompt="none"))["code"])
    again = await claims_of(world, silent.json()["id_token"])
    assert (again["sid"], again["auth_time"]) == (first["sid"], first["auth_time"])
    assert "(signed in)" in (await world.ask()).text

    assert answer(await world.ask(prompt="none", max_age="99"))["error"] == "login_required"
    for changes in ({"prompt": "login"}, {"max_age": "99"}):
        fresh = await claims_of(world, (await world.tokens("alice", **changes))["id_token"])
        assert fresh["sid"] != first["sid"]
        assert fresh["auth_time"] == world.clock.now()
        world.clock.advance(100)


async def test_acr_values_ask_for_a_second_factor(world: World) -> None:
    """OpenID Connect Core section 3.1.2.1, acr_values."""
    assert (await claims_of(world, (await world.tokens("bob"))["id_token"]))["acr"] == "1"
    assert answer(await world.ask(prompt="none", acr_values="2"))["error"] == "login_required"

    stronger = await claims_of(world, (await world.tokens("bob", acr_values="2"))["id_token"])

    assert (stronger["acr"], stronger["amr"]) == ("2", ["pwd", "otp", "mfa"])


async def test_a_code_is_used_once_and_its_replay_ends_what_it_gave(world: World) -> None:
    """RFC 6749 section 4.1.2."""
    code = await world.code()
    tokens = (await world.redeem(code)).json()

    assert (await world.redeem(code)).json()["error"] == "invalid_grant"

    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await world.http.get("/userinfo", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": CALLBACK + "?tenant=a"},
        {"redirect_uri": ""},
        {"code": "made up"},
    ],
)
async def test_a_code_needs_its_verifier_and_its_redirect(world: World, changes: dict[str, str]) -> None:
    """RFC 7636 section 4.6, RFC 6749 section 4.1.3; a wrong attempt does not spend the code."""
    code = await world.code()

    refused = await world.redeem(code, changes)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await world.redeem(code)).status_code == 200


async def test_a_code_lives_sixty_seconds_and_belongs_to_its_client(world: World) -> None:
    """RFC 6749 section 4.1.2."""
    code = await world.code()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    other = await world.http.post("/token", data=form, headers=basic(OTHER.client_id, OTHER.client_secret))
    assert other.json()["error"] == "invalid_grant"

    world.clock.advance(60)

    assert (await world.redeem(code)).json()["error"] == "invalid_grant"


async def test_clients_authenticate_by_basic_or_by_form_and_not_by_both(world: World) -> None:
    """RFC 6749 section 2.3."""
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    secret = {"client_id": CLIENT.client_id, "client_secret": CLIENT.client_secret}
    good = basic(CLIENT.client_id, CLIENT.client_secret)

    assert (await world.http.post("/token", data=form | secret)).json()["error"] == "invalid_grant"
    assert (await world.http.post("/token", data=form, headers=good)).json()["error"] == "invalid_grant"
    assert (await world.http.post("/token", data=form | secret, headers=good)).json()["error"] == "invalid_request"
    clash = {"client_id": "other"}
    assert (await world.http.post("/token", data=form | clash, headers=good)).json()["error"] == "invalid_request"
    wrong = await world.http.post("/token", data=form, headers=basic(CLIENT.client_id, "no"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert wrong.headers["www-authenticate"].startswith("Basic")
    for header in ("Basic", "Basic !", "Basic bm9jb2xvbg==", "Basic /w=="):
        bad = await world.http.post("/token", data=form, headers={"Authorization": header + " "})
        assert bad.status_code == 401
    assert (await world.http.post("/token", data=form)).json()["error"] == "invalid_client"
    assert (await world.http.post("/token", data=form | {"client_id": "nobody"})).status_code == 401
    unknown = await world.token({"grant_type": "password"})
    assert unknown.json()["error"] == "unsupported_grant_type"
    assert (await world.token({})).json()["error"] == "invalid_request"
    assert (await world.http.post("/token", json={"grant_type": "x"})).json()["error"] == "invalid_request"


async def test_refresh_tokens_rotate_and_an_old_one_ends_the_chain(world: World) -> None:
    """RFC 9700 section 4.14.2."""
    first = await world.tokens()
    second = (await world.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    claims = await claims_of(world, second["id_token"])
    assert "nonce" not in claims
    assert claims["at_hash"] == half_hash(second["access_token"])

    assert (await world.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"

    assert (await world.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "issuer",
    [
        "https://idp.example.com",
        "http://0.0.0.0:9401",
        "http://192.168.1.5:9401",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "https://127.0.0.1:9401",
        "http://[::]:9401",
        "http://",
        "http://127.0.0.1:9401?x=1",
    ],
)
def test_an_issuer_beyond_this_machine_is_refused(issuer: str) -> None:
    """It signs anybody in: it never leaves loopback."""
    with pytest.raises(NotLoopback):
        create_idp(issuer, clients=[])


def test_a_logout_address_beyond_this_machine_and_a_slash_are_refused() -> None:
    far = RelyingParty(
        client_id="x", client_secret="x", redirect_uris=(), backchannel_logout_uri="http://10.0.0.1/logout"
    )
    with pytest.raises(NotLoopback):
        create_idp(ISSUER, clients=[far])
    with pytest.raises(ValueError, match="slash"):
        create_idp(ISSUER + "/", clients=[])


@pytest.mark.parametrize(
    ("client", "server", "host"),
    [
        (("192.168.1.7", 5), ("127.0.0.1", 9401), b"127.0.0.1:9401"),
        (("127.0.0.1", 5), ("192.168.1.5", 9401), b"127.0.0.1:9401"),
        (("127.0.0.1", 5), ("127.0.0.1", 9401), b"evil.example"),
        (("127.0.0.1", 5), ("127.0.0.1", 9401), b"127.0.0.1:9400"),
    ],
)
async def test_a_caller_a_listener_or_a_name_beyond_this_machine_is_refused(
    world: World, client: tuple[str, int], server: tuple[str, int], host: bytes
) -> None:
    """However it is served: DNS rebinding and a bind to all addresses reach nothing."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/jwks",
        "query_string": b"",
        "headers": [(b"host", host)],
        "client": client,
        "server": server,
    }
    await world.app(scope, receive, send)

    assert sent[0]["status"] == 421


async def test_a_provider_with_a_path_serves_under_it() -> None:
    issuer = "http://localhost:9401/realms/demo"
    app = create_idp(issuer, clients=[CLIENT])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=issuer) as http:
        metadata = (await http.get(issuer + "/.well-known/openid-configuration")).json()
        params = {"client_id": "broker", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
        pkce = {"code_challenge": challenge(VERIFIER), "code_challenge_method": "S256"}
        page = await http.get(metadata["authorization_endpoint"], params=params | pkce)

    assert transaction(page)
    assert f'action="{issuer}/pick"' in page.text
