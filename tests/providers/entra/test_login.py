"""The browser sent away and back, step-up, and how the broker authenticates."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.base import EndsSession, Fault, RefreshesIdentity, RevokesTokens, VerifiesLogout
from tests.providers.case import REDIRECT_URI, START, ended, upstream_request
from tests.providers.entra.case import EntraCase, open_entra
from tests.providers.entra.certificate import self_signed
from tests.providers.entra.scripted_entra import AUTHORITY, CONTOSO


async def test_the_adapter_has_the_capabilities_that_entra_has(entra: EntraCase) -> None:
    """Architecture, section 3: no token can be given back, no logout is announced to us."""
    assert isinstance(entra.provider, RefreshesIdentity)
    assert isinstance(entra.provider, EndsSession)
    assert not isinstance(entra.provider, RevokesTokens | VerifiesLogout)
    assert not entra.provider.shares_tokens


async def test_the_request_is_what_entra_takes(entra: EntraCase) -> None:
    """Security rule B4: PKCE and a nonce although its metadata does not speak of S256. The scopes let Graph answer."""
    request = upstream_request(login_hint="alice@contoso.example")
    url = await entra.provider.authorization_url(request)
    assert url.startswith(f"{AUTHORITY}/{CONTOSO}/oauth2/v2.0/authorize?")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert (sent["code_challenge_method"], sent["nonce"]) == ("S256", request.nonce)
    assert sent["scope"] == "openid profile email offline_access User.Read" == " ".join(entra.provider.scopes)
    assert (sent["redirect_uri"], sent["login_hint"]) == (REDIRECT_URI, "alice@contoso.example")
    assert not {"claims", "prompt", "acr_values", "max_age"} & set(sent)


@pytest.mark.parametrize(
    ("prompts", "sent"),
    [
        (("login",), "login"),
        (("login", "select_account"), "login"),
        (("select_account", "consent"), "select_account"),
        (("none",), "none"),
    ],
)
async def test_one_prompt_is_sent(entra: EntraCase, prompts: tuple[str, ...], sent: str) -> None:
    """Entra takes one."""
    url = await entra.provider.authorization_url(upstream_request(prompt=prompts))
    assert parse_qs(urlsplit(url).query)["prompt"] == [sent]


async def test_a_step_up_is_a_claims_challenge_and_what_came_back_is_read(entra: EntraCase) -> None:
    """Facts, section 1.4: authentication contexts of Conditional Access, in the claim `acrs`."""
    request = upstream_request(acr_values=("c2",))
    url = await entra.provider.authorization_url(request)
    claims = json.loads(parse_qs(urlsplit(url).query)["claims"][0])
    assert claims == {"id_token": {"acrs": {"essential": True, "value": "c2"}}}
    entra.idp.faults.claims["acrs"] = ["c1", "c2"]
    assert (await entra.sign_in(request)).acr == "c2"
    assert (await entra.sign_in()).acr == "c1"
    entra.idp.faults.claims["acrs"] = ["c1"]
    assert (await entra.sign_in(request)).acr == "c1"  # not what was asked: for the policy to refuse
    del entra.idp.faults.claims["acrs"]
    assert (await entra.sign_in(request)).acr is None


async def test_several_contexts_are_asked_as_alternatives(entra: EntraCase) -> None:
    """OpenID Connect Core section 5.5.1: `values`."""
    url = await entra.provider.authorization_url(upstream_request(acr_values=("c1", "c2")))
    claims = json.loads(parse_qs(urlsplit(url).query)["claims"][0])
    assert claims["id_token"]["acrs"] == {"essential": True, "values": ["c1", "c2"]}


async def test_an_age_is_asked_by_a_new_sign_in_and_proven_by_auth_time(entra: EntraCase) -> None:
    """Security rule B5: `auth_time` is an optional claim; without it no age is proven."""
    request = upstream_request(max_age=600)
    url = await entra.provider.authorization_url(request)
    assert parse_qs(urlsplit(url).query)["prompt"] == ["login"]
    assert (await entra.refusal(request)).reason == "id_token_auth_time"
    entra.idp.faults.claims["auth_time"] = START - 5
    identity = await entra.sign_in(request)
    assert (identity.auth_time, identity.auth_time_stated) == (START - 5, True)


@pytest.mark.parametrize("issuer", [f"{AUTHORITY}/{CONTOSO}/v2.0/", "https://evil.example", ""])
async def test_a_response_from_another_issuer_causes_no_token_request(entra: EntraCase, issuer: str) -> None:
    """Security rule B1: Entra sends no `iss`; one that is there must be right."""
    entra.idp.faults.callback["iss"] = issuer
    await entra.is_refused("callback_issuer")
    assert not entra.idp.calls("token")


async def test_a_certificate_signs_for_the_token_endpoint() -> None:
    """Security rule B18: Entra wants the endpoint as `aud`, PS256, and the certificate's thumbprint."""
    key, certificate, public = self_signed()
    options = {"private_key": key, "certificate": certificate}
    async with open_entra(client_secret=None, options=options) as entra:
        entra.idp.assertions.keys = [public]
        assert (await entra.sign_in()).subject
        (header, claims) = entra.idp.assertions.seen[0]
        assert header["alg"] == "PS256"
        assert set(header) == {"alg", "typ", "x5t#S256"}
        assert claims["aud"] == f"{AUTHORITY}/{CONTOSO}/oauth2/v2.0/token"


async def test_a_federated_token_is_read_anew_for_every_request(tmp_path: Path) -> None:
    """Workload identity: whoever runs this machine replaces the file every few minutes."""
    path = tmp_path / "token"
    async with open_entra(client_secret=None, options={"federated_token_file": str(path)}) as entra:
        entra.idp.assertions.federated = {"a.b.one", "a.b.two"}
        path.write_text("a.b.one\n")
        identity = await entra.sign_in()
        path.write_text("a.b.two\n")
        await entra.refresh(identity)
        assert [call.params["client_assertion"] for call in entra.idp.calls("token")] == ["a.b.one", "a.b.two"]
        path.unlink()
        error = await entra.no_refresh(identity)
        assert (error.fault, error.reason) == (Fault.OPERATOR, "federated_token_file")


async def test_a_session_at_microsoft_can_be_ended_and_the_browser_comes_back(entra: EntraCase) -> None:
    """RP-Initiated Logout section 2."""
    identity = await entra.sign_in()
    url = await entra.provider.logout_url(identity.tokens, return_to="https://broker.example.test/")
    assert url is not None
    assert url.startswith(f"{AUTHORITY}/{CONTOSO}/oauth2/v2.0/logout?")
    assert parse_qs(urlsplit(url).query)["post_logout_redirect_uri"] == ["https://broker.example.test/"]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ("access_denied", Fault.DENIED),
        ("interaction_required", Fault.INTERACTION),
        ("temporarily_unavailable", Fault.TRANSIENT),
        ("unauthorized_client", Fault.OPERATOR),
    ],
)
async def test_an_error_response_is_mapped_to_a_word_of_ours(entra: EntraCase, error: str, fault: Fault) -> None:
    """Security rule B12: its description, with trace ids, goes nowhere."""
    entra.idp.faults.callback |= {"error": error, "error_description": "AADSTS65004: upstream words", "claims": "{}"}
    await entra.is_refused(error, fault)


async def test_nothing_secret_prints(entra: EntraCase) -> None:
    """Security rule B13."""
    identity = await entra.sign_in()
    assert identity.tokens is not None
    printed = repr((entra.provider, entra.settings, identity, vars(entra.provider)))
    assert str(entra.idp.client_secret) not in printed
    assert identity.tokens.access_token not in printed


async def test_an_id_token_of_another_app_proves_nothing(entra: EntraCase) -> None:
    """Security rule B11."""
    entra.idp.faults.claims["aud"] = "00001111-aaaa-2222-bbbb-3333cccc4444"
    assert (await ended(entra.sign_in())).reason == "id_token_audience"
