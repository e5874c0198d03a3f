"""The switches of the development identity provider, how logins end, and the broker's own adapter against it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from broker.resource_server import BrokerTokenVerifier
from providers.base import Callback, ProviderSettings, UpstreamRequest
from providers.http import open_http
from providers.registry import build
from tests.broker.demo.browsing import CALLBACK, CLIENT, ISSUER, VERIFIER, World, answer
from tests.broker.resource_issuer import RESOURCE, Issuer


@pytest.fixture
def world() -> World:
    return World()


async def switch(world: World, person: str, **form: str) -> httpx2.Response:
    return await world.http.post(f"/people/{person}", data=form)


async def about(world: World, person: str) -> dict[str, Any]:
    """Sign somebody in and return what UserInfo says."""
    tokens = await world.tokens(person, prompt="login")
    return dict((await world.http.get("/userinfo", headers=bearer(tokens))).json())


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def test_groups_and_email_verified_are_switches(world: World) -> None:
    """Architecture, section 5: complete, empty and unknown groups are three things."""
    assert (await about(world, "mallory"))["email_verified"] is False

    await switch(world, "mallory", groups="engineering, sales", groups_claim="yes", email_verified="yes")
    changed = await about(world, "mallory")
    assert (changed["groups"], changed["email_verified"]) == (["engineering", "sales"], True)

    await switch(world, "mallory", groups="", groups_claim="yes")
    assert (await about(world, "mallory"))["groups"] == []

    await switch(world, "mallory", groups="engineering")
    assert "groups" not in await about(world, "mallory")


async def test_the_page_shows_the_switches_as_they_are(world: World) -> None:
    await world.tokens("alice")
    await switch(world, "bob", groups="<b>", groups_claim="yes", disabled="yes")

    page = await world.http.get("/people")

    assert "Sign out everywhere (1)" in page.text
    assert "&lt;b&gt;" in page.text
    assert "<b>" not in page.text
    assert page.text.count('name="disabled" value="yes" checked') == 1
    assert "groups not told" not in page.text
    assert "(disabled)" in (await world.ask()).text


async def test_switches_are_not_for_other_sites_nor_for_nobody(world: World) -> None:
    headers = {"Sec-Fetch-Site": "same-site"}

    assert (await world.http.post("/people/alice", data={}, headers=headers)).status_code == 403
    assert (await world.http.post("/people/alice/sign-out", headers=headers)).status_code == 403
    assert (await switch(world, "nobody", groups="")).status_code == 404


async def test_a_disabled_person_is_out(world: World) -> None:
    """Nothing more is issued, and what was issued is answered no more."""
    tokens = await world.tokens("bob")

    await switch(world, "bob", groups="sales", groups_claim="yes", disabled="yes")

    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await world.http.get("/userinfo", headers=bearer(tokens))).status_code == 401
    assert answer(await world.ask(prompt="none"))["error"] == "login_required"
    assert answer(await world.pick(await world.ask(), "bob"))["error"] == "access_denied"


async def test_new_groups_arrive_with_a_refresh(world: World) -> None:
    tokens = await world.tokens("bob")
    await switch(world, "bob", groups="engineering", groups_claim="yes", email_verified="yes")

    refreshed = (await world.refresh(tokens["refresh_token"])).json()

    assert (await world.http.get("/userinfo", headers=bearer(refreshed))).json()["groups"] == ["engineering"]


async def test_signing_out_tells_the_clients_by_back_channel(world: World) -> None:
    """OpenID Connect Back-Channel Logout sections 2.4 and 2.5."""
    tokens = await world.tokens("alice")
    keys = KeySet.import_key_set((await world.http.get("/jwks")).json())
    id_claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims

    response = await world.http.post("/people/alice/sign-out")

    assert response.status_code == 303
    ((url, form),) = world.sent
    assert url == CLIENT.backchannel_logout_uri
    token = jwt.decode(form["logout_token"], keys, algorithms=["RS256"])
    assert token.header["typ"] == "logout+jwt"
    now = world.clock.now()
    assert token.claims.pop("jti")
    assert token.claims == {
        "iss": ISSUER,
        "aud": "broker",
        "sub": id_claims["sub"],
        "sid": id_claims["sid"],
        "iat": now,
        "exp": now + 120,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_client_that_cannot_be_told_does_not_keep_the_login_alive(world: World) -> None:
    tokens = await world.tokens("alice")
    world.down = True

    assert (await world.http.post("/people/alice/sign-out")).status_code == 303

    assert len(world.sent) == 1
    assert (await world.refresh(tokens["refresh_token"])).status_code == 400


async def test_a_logout_with_a_hint_ends_that_login_and_goes_back(world: World) -> None:
    """OpenID Connect RP-Initiated Logout section 2."""
    tokens = await world.tokens("alice")
    (target,) = CLIENT.post_logout_redirect_uris
    world.clock.advance(3600)  # an expired ID token is still a hint
    query = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": target, "state": "a b"}

    response = await world.http.get("/logout", params=query)

    assert response.headers["location"] == target + "?state=a+b"
    assert len(world.sent) == 1
    assert (await world.refresh(tokens["refresh_token"])).status_code == 400


async def test_a_logout_without_a_good_hint_asks_and_never_redirects(world: World) -> None:
    """OpenID Connect RP-Initiated Logout section 2: no open redirector, no logout by a link."""
    tokens = await world.tokens("alice")
    (target,) = CLIENT.post_logout_redirect_uris
    forged = tokens["id_token"][:-8] + "AAAAAAAA"

    asked = await world.http.get("/logout", params={"id_token_hint": forged, "post_logout_redirect_uri": target})

    assert asked.status_code == 200
    assert "Sign out?" in asked.text
    foreign = await world.http.post("/logout", data={"state": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert "Sign out?" in foreign.text
    assert world.sent == []
    done = await world.http.post("/logout", data={"post_logout_redirect_uri": target})
    assert "Signed out" in done.text
    assert len(world.sent) == 1
    assert (await world.refresh(tokens["refresh_token"])).status_code == 400
    stranger = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": "https://evil.example"}
    assert "location" not in (await world.http.get("/logout", params=stranger)).headers


async def test_the_brokers_own_adapter_signs_alice_in(world: World) -> None:
    """OpenID Connect Core section 3.1.3.7: everything the adapter verifies is there to be verified."""
    settings = ProviderSettings(
        id="demo",
        type="oidc",
        display_name="Demo",
        issuer=ISSUER,
        client_id=CLIENT.client_id,
        client_secret=CLIENT.client_secret,
        loopback=True,
    )
    http = open_http(settings, transport=httpx2.ASGITransport(app=world.app))
    provider = build(settings, http, world.clock.now)
    request = UpstreamRequest(
        redirect_uri=CALLBACK, state="st", nonce="n-2", code_verifier=VERIFIER, max_age=60, acr_values=("2",)
    )
    query = dict(parse_qsl(urlsplit(await provider.authorization_url(request)).query))

    back = await world.pick(await world.ask(**query), "alice")
    identity = await provider.identify(Callback(params=answer(back)), request)

    assert identity.issuer == ISSUER
    assert identity.email == "alice@example.com"
    assert identity.email_verified is True
    assert identity.groups.names == ("engineering", "on-call")
    assert (identity.acr, identity.amr) == ("2", ("pwd", "otp", "mfa"))
    assert identity.auth_time == world.clock.now()
    assert identity.sid
    assert identity.tokens is not None
    assert identity.tokens.refresh_token
    await http.aclose()


async def test_what_this_provider_issues_is_worthless_at_an_mcp_server_and_the_brokers_is_worthless_here(
    world: World,
) -> None:
    """Security rule F8."""
    upstream = await world.tokens("alice")
    broker = Issuer(world.clock)
    verifier = BrokerTokenVerifier(ISSUER, RESOURCE, http=world.http, clock=world.clock)
    trusting = BrokerTokenVerifier(broker.issuer, RESOURCE, http=broker.http, clock=world.clock)
    ours = broker.token()
    assert await trusting.verify_token(ours) is not None

    for token in (upstream["id_token"], upstream["access_token"], upstream["refresh_token"]):
        assert await trusting.verify_token(token) is None
        assert await verifier.verify_token(token) is None
    assert (await world.http.get("/userinfo", headers=bearer({"access_token": ours}))).status_code == 401
    assert (await world.refresh(ours)).json()["error"] == "invalid_grant"
