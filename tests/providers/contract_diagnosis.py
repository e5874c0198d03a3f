"""Contract: what is wrong with a set-up is found without a person, each with its mend (security rules B1, B4, B7, B12, B13)."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from providers.base import Check, Diagnoses, Verdict
from providers.findings import REST
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI, START, Case, open_case
from tests.providers.kinds import KINDS
from tests.providers.pem import certificate, pem, verification_key
from tests.providers.scripted_faults import ABSENT

CLIENT = "client id and secret"
EVERY = ["discovery", "TLS", "issuer", "keys", "algorithms", "PKCE", "iss parameter", "clock", CLIENT, "redirect URI"]


async def diagnosis(case: Case) -> dict[str, Check]:
    """Return every check by name, after looking that each can be read and acted on, and that none says what it must not."""
    assert isinstance(case.provider, Diagnoses)
    found = await case.provider.check(REDIRECT_URI)
    by_name = {check.name: check for check in found}
    assert len(by_name) == len(found)
    printed = repr(found)
    assert "upstream words" not in printed
    assert case.settings.client_secret is None or case.settings.client_secret not in printed
    for check in found:
        assert check.detail
        assert check.status is Verdict.OK or check.fix
        assert "\n" not in check.detail + check.fix
    return by_name


async def finds(case: Case, name: str, status: Verdict, *words: str) -> Check:
    """Assert that one check has this status and that its detail or mend has these words."""
    check = (await diagnosis(case))[name]
    assert check.status is status, check
    for word in words:
        assert word in f"{check.detail} {check.fix}", check
    return check


async def test_a_good_set_up_has_nothing_wrong(case: Case) -> None:
    """Every check, in an order that does not change."""
    case.idp.faults.answers.clear()
    found = await diagnosis(case)
    assert list(found)[: len(EVERY)] == EVERY
    assert not [check for check in found.values() if check.status is Verdict.FAIL]
    assert {name for name, check in found.items() if check.status is Verdict.WARN} <= {"who may sign in"}
    assert not case.idp.calls("userinfo")


async def test_the_diagnosis_itself_signs_nobody_in(case: Case) -> None:
    """It presents a code of nobody's, and nobody is at the browser."""
    await diagnosis(case)
    assert case.idp.calls("authorize")[0].params["prompt"] == "none"
    assert case.idp.calls("token")[0].params["code"] == "a-code-that-nobody-has"


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (faulty.DOWN, "discovery_unavailable"),
        (faulty.NOT_FOUND, "discovery_status"),
        (faulty.REDIRECT, "discovery_status"),
        (faulty.HTML, "discovery_not_json"),
        (faulty.OVERSIZED, "too_large"),
    ],
)
async def test_a_discovery_document_that_is_none_is_found(case: Case, answer: faulty.Answer, word: str) -> None:
    """Security rule B7: what depends on it is said to be not looked at, in one line."""
    case.idp.faults.answers["discovery"] = answer
    await finds(case, "discovery", Verdict.FAIL, word)
    await finds(case, REST, Verdict.WARN, "not looked at", CLIENT)
    assert not case.idp.calls("token")


async def test_a_provider_that_nobody_reaches_names_the_settings_of_its_type(case: Case) -> None:
    """A setting that the type has not would be looked for in vain."""
    case.idp.faults.answers["discovery"] = faulty.DOWN
    check = await finds(case, "discovery", Verdict.FAIL, f"look at {case.console.reach}")
    assert "PROXY" in check.fix
    assert case.console.takes_issuer == ("ISSUER" in check.fix)


async def test_an_issuer_that_differs_by_a_slash_is_spelled_out(case: Case) -> None:
    """Security rule B7: the top fault of the field."""
    theirs = case.idp.issuer.removesuffix("/") if case.idp.issuer.endswith("/") else f"{case.idp.issuer}/"
    case.idp.faults.discovery["issuer"] = theirs
    check = await finds(case, "issuer", Verdict.FAIL, f"the document says {theirs},", case.console.issuer)
    assert check.detail.endswith(f" is {case.idp.issuer}" if case.console.takes_issuer else f" be {case.idp.issuer}")
    assert ("set ISSUER" in check.fix) == case.console.takes_issuer
    await finds(case, REST, Verdict.WARN, "not looked at", CLIENT)


@pytest.mark.parametrize("issuer", [ABSENT, 7, "\x1b[31mred\n"])
async def test_an_issuer_that_is_none_is_found_and_does_not_paint_the_terminal(case: Case, issuer: Any) -> None:
    """Security rule G7: control characters of strangers reach no terminal."""
    case.idp.faults.discovery["issuer"] = issuer
    check = await finds(case, "issuer", Verdict.FAIL)
    assert check.detail.isprintable()


async def test_an_unsafe_endpoint_is_found(case: Case) -> None:
    """Security rule B7."""
    case.idp.faults.discovery["token_endpoint"] = "http://idp.example.test/token"
    await finds(case, "endpoints", Verdict.FAIL, "https")


async def test_algorithms_of_which_we_accept_none_are_found(case: Case) -> None:
    """Security rule B5."""
    case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ["none", "HS256"]
    await finds(case, "algorithms", Verdict.FAIL, "RS256")
    case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ABSENT
    await finds(case, "algorithms", Verdict.OK, "RS256")


@pytest.mark.parametrize(
    ("keys", "status"), [({"use": "enc"}, Verdict.FAIL), ({"alg": "RSA-OAEP"}, Verdict.FAIL), ({}, Verdict.OK)]
)
async def test_keys_that_verify_nothing_are_found(case: Case, keys: dict[str, Any], status: Verdict) -> None:
    """Security rule B8."""
    case.idp.faults.key |= keys
    await finds(case, "keys", status)
    case.idp.faults.answers["jwks"] = faulty.DOWN
    await finds(case, "keys", Verdict.FAIL, "jwks_unavailable")


async def test_a_provider_that_says_nothing_of_s256_is_told(case: Case) -> None:
    """Security rule B4: it is sent all the same."""
    case.idp.faults.discovery["code_challenge_methods_supported"] = ["plain"]
    check = (await diagnosis(case))["PKCE"]
    assert "sent" in check.detail
    assert check.status in (Verdict.WARN, Verdict.OK)


async def test_the_iss_parameter_is_reported_either_way(case: Case) -> None:
    """Security rule B1; RFC 9207."""
    await finds(case, "iss parameter", Verdict.OK, "RFC 9207")
    case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = ABSENT
    await finds(case, "iss parameter", Verdict.OK, "callback path")


@pytest.mark.parametrize(
    ("apart", "status"),
    [
        (5, Verdict.OK),
        (-5, Verdict.OK),
        (6, Verdict.WARN),
        (-60, Verdict.WARN),
        (61, Verdict.FAIL),
        (-3600, Verdict.FAIL),
    ],
)
async def test_clocks_that_disagree_are_found(case: Case, apart: int, status: Verdict) -> None:
    """Security rule F4: 60 seconds are allowed, and no more are told from an attack."""
    case.idp.faults.headers["date"] = formatdate(START + apart, usegmt=True)
    check = await finds(case, "clock", status)
    if status is not Verdict.OK:
        assert f"{abs(apart)} s {'behind' if apart > 0 else 'ahead of'} the provider's" in check.detail


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Nov 9999 99:99:99 GMT", "1800000000"])
async def test_a_date_that_is_none_is_told(case: Case, date: str) -> None:
    """The check is not made up."""
    case.idp.faults.headers["date"] = date
    await finds(case, "clock", Verdict.WARN, "no date")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (faulty.error(400, "invalid_grant"), Verdict.OK),
        (faulty.error(403, "invalid_code"), Verdict.OK),
        (faulty.error(400, "redirect_uri_mismatch"), Verdict.OK),
        (faulty.EMPTY_400, Verdict.OK),
        (faulty.error(401, "invalid_client"), Verdict.FAIL),
        (faulty.error(401, "unauthorized_client"), Verdict.FAIL),
        (faulty.UNAUTHORIZED, Verdict.FAIL),
        (faulty.error(400, "invalid_request"), Verdict.WARN),
        (faulty.error(400, "upstream words"), Verdict.WARN),
        (faulty.DOWN, Verdict.WARN),
        (faulty.NOT_FOUND, Verdict.FAIL),
        (faulty.HTML, Verdict.FAIL),
        (faulty.FORBIDDEN, Verdict.FAIL),
        (faulty.Answer(200, b'{"access_token": "at", "id_token": "a.b.c"}'), Verdict.FAIL),
    ],
)
async def test_what_a_code_of_nobodys_is_answered_with_tells_whether_we_are_known(
    case: Case, answer: faulty.Answer, status: Verdict
) -> None:
    """A refused code means an accepted client; Keycloak's word for a wrong secret is `unauthorized_client`."""
    case.idp.faults.answers["token"] = answer
    await finds(case, CLIENT, status)


async def test_a_wrong_secret_is_found_and_its_place_named(case: Case) -> None:
    """RFC 6749 section 5.2: `invalid_client`."""
    case.idp.client_secret = "another"
    await finds(case, CLIENT, Verdict.FAIL, "CLIENT_SECRET", case.console.client)


async def test_a_wrong_key_is_found_and_its_place_named(case: Case) -> None:
    """Security rule B18."""
    options = {**KINDS[case.kind].options, "private_key": pem("P-256", 1)}
    async with open_case(case.kind, options=options) as other:
        other.idp.assertions.keys = [verification_key("P-256", 2)]
        await finds(other, CLIENT, Verdict.FAIL, "private_key_jwt", "PRIVATE_KEY", other.console.key)


@pytest.mark.parametrize(
    ("ends", "status"),
    [(START - 1, Verdict.FAIL), (START + 20 * 86400, Verdict.WARN), (START + 31 * 86400, Verdict.OK)],
)
async def test_a_certificate_that_ends_soon_is_told(case: Case, ends: int, status: Verdict) -> None:
    """Nobody should learn it from people who cannot sign in."""
    options = {**KINDS[case.kind].options, "private_key": pem("P-256"), "certificate": certificate("P-256", ends=ends)}
    async with open_case(case.kind, options=options) as other:
        await finds(other, "certificate", status)


async def test_a_file_without_a_token_is_found(case: Case) -> None:
    """RFC 7523 section 2.2."""
    options = {**KINDS[case.kind].options, "federated_token_file": "/nowhere/token"}
    async with open_case(case.kind, options=options, client_secret=None) as other:
        await finds(other, CLIENT, Verdict.FAIL, "FEDERATED_TOKEN_FILE")


async def test_a_federated_token_that_is_refused_is_found_and_its_place_named(case: Case, tmp_path: Path) -> None:
    """RFC 7523 section 2.2: there is no secret to compare; what the workload's token says is not what is registered."""
    file = tmp_path / "token"
    file.write_text("a.b.c")
    options = {**KINDS[case.kind].options, "federated_token_file": str(file)}
    async with open_case(case.kind, options=options, client_secret=None) as other:
        other.idp.faults.answers["token"] = faulty.error(401, "invalid_client")
        check = await finds(other, CLIENT, Verdict.FAIL, "FEDERATED_TOKEN_FILE", other.console.key)
        assert "CLIENT_SECRET" not in check.fix


async def test_a_secret_that_was_left_out_is_found(case: Case) -> None:
    """RFC 6749 section 2.3: the provider knows the client as a confidential one."""
    async with open_case(case.kind, options=KINDS[case.kind].options, client_secret=None) as other:
        other.idp.faults.answers["token"] = faulty.error(401, "invalid_client")
        await finds(other, CLIENT, Verdict.FAIL, "without a secret", "set CLIENT_SECRET", other.console.client)


async def test_a_provider_that_takes_no_secret_is_found(case: Case) -> None:
    """RFC 8414 section 2."""
    case.idp.faults.discovery["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    await finds(case, CLIENT, Verdict.FAIL, "AUTH_METHOD")


async def test_a_redirect_uri_that_is_not_registered_is_spelled_out(case: Case) -> None:
    """The provider sends nobody back there, and says so before anybody signs in."""
    case.idp.redirect_uris = {"https://broker.example.test/callback/another"}
    await finds(case, "redirect URI", Verdict.FAIL, f"register exactly {REDIRECT_URI}", case.console.redirect)
    case.idp.redirect_uris = {REDIRECT_URI}
    await finds(case, "redirect URI", Verdict.OK, REDIRECT_URI)


@pytest.mark.parametrize("answer", [faulty.HTML, faulty.REDIRECT, faulty.DOWN])
async def test_a_redirect_uri_that_cannot_be_told_is_said_to_be_so(case: Case, answer: faulty.Answer) -> None:
    """A login page says nothing; the URI to register is spelled out all the same."""
    case.idp.faults.answers["authorize"] = answer
    await finds(case, "redirect URI", Verdict.WARN, f"register exactly {REDIRECT_URI}")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("invalid_scope", Verdict.FAIL),
        ("unauthorized_client", Verdict.FAIL),
        ("interaction_required", None),
        ("upstream words", None),
    ],
)
async def test_a_request_that_the_provider_refuses_is_found(case: Case, error: str, status: Verdict | None) -> None:
    """A scope that the client may not ask ends every login."""
    case.idp.faults.callback["error"] = error
    found = (await diagnosis(case)).get("authorization request")
    assert (found and found.status) == status
    if error == "invalid_scope":
        assert found is not None
        assert "SCOPES" in found.fix


async def test_a_provider_without_refresh_tokens_is_told(case: Case) -> None:
    """Security rule B16: grants would end with its access tokens."""
    case.idp.faults.discovery["grant_types_supported"] = ["authorization_code"]
    await finds(case, "refresh tokens", Verdict.WARN, case.console.refresh)


async def test_a_slow_endpoint_is_told_and_holds_up_nothing_for_long(case: Case) -> None:
    """Security rule B7."""
    async with open_case(case.kind, timeout=0.1, options=KINDS[case.kind].options) as slow:
        slow.idp.faults.delay |= {"token": 30, "authorize": 30, "jwks": 30}
        found = await diagnosis(slow)
        assert "timeout" in found[CLIENT].detail
        assert "timeout" in found["redirect URI"].detail
        assert found["keys"].status is Verdict.FAIL
