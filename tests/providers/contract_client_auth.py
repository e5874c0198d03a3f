"""Contract: how the broker authenticates at the provider (security rules B13, B18; RFC 7523)."""

from __future__ import annotations

from pathlib import Path

from providers.base import Fault, RevokesTokens
from tests.providers.case import Case, open_case
from tests.providers.kinds import KINDS
from tests.providers.pem import pem, verification_key

FEDERATED = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bWNwOmJyb2tlciJ9.c2lnbmF0dXJl"


def names(case: Case) -> None:
    """Let the provider accept assertions that name what this type's assertions must name, and no other."""
    if KINDS[case.kind].assertions_name_endpoint:
        base = case.idp.issuer.removesuffix("/")
        case.idp.assertions.audience, case.idp.assertions.also = f"{base}/token", {f"{base}/revoke"}


async def test_every_request_has_an_assertion_of_its_own(kind: str) -> None:
    """Security rule B18: one `aud`, a `jti` once, for code, refresh and revocation alike; the secret is not sent along."""
    options = {**KINDS[kind].options, "private_key": pem("RSA")}
    async with open_case(kind, options=options) as case:
        names(case)
        case.idp.assertions.keys = [verification_key("RSA")]
        identity = await case.refresh(await case.sign_in())
        assert identity.tokens is not None
        if isinstance(case.provider, RevokesTokens):
            await case.provider.revoke(identity.tokens)
        seen = case.idp.assertions.seen
        assert len(seen) == (3 if isinstance(case.provider, RevokesTokens) else 2)
        assert {header["alg"] for header, _ in seen} == {"RS256"}
        assert all(claims["exp"] - claims["iat"] == 300 for _, claims in seen)
        assert "client_secret" not in str([call.params for call in case.idp.requests])
        assert not any("authorization" in call.headers for call in case.idp.calls("token"))


async def test_an_assertion_by_another_key_is_our_operators_matter(kind: str) -> None:
    """Security rule B18: a provider's key is for that provider alone."""
    options = {**KINDS[kind].options, "private_key": pem("P-256", 1)}
    async with open_case(kind, options=options) as case:
        names(case)
        case.idp.assertions.keys = [verification_key("P-256", 2)]
        await case.is_refused("invalid_client", Fault.OPERATOR)


async def test_a_federated_token_is_read_again_for_every_request(kind: str, tmp_path: Path) -> None:
    """RFC 7523 section 2.2: whoever runs this machine replaces the file every few minutes."""
    file = tmp_path / "token"
    options = {**KINDS[kind].options, "federated_token_file": str(file)}
    async with open_case(kind, options=options, client_secret=None) as case:
        file.write_text(f"{FEDERATED}\n")
        case.idp.assertions.federated = {FEDERATED}
        identity = await case.sign_in()
        file.write_text(f"{FEDERATED}2")
        assert (await case.no_refresh(identity)).fault is Fault.OPERATOR
        case.idp.assertions.federated = {f"{FEDERATED}2"}
        assert (await case.refresh(identity)).subject == "u-alice"
        file.unlink()
        assert (await case.no_refresh(identity)).reason == "federated_token_file"


async def test_a_provider_without_a_secret_gets_the_id_alone(kind: str) -> None:
    """RFC 6749 section 3.2.1: a public registration."""
    async with open_case(kind, idp={"client_secret": None}, options=KINDS[kind].options) as case:
        await case.sign_in()
        assert "authorization" not in case.idp.calls("token")[0].headers
        assert case.idp.calls("token")[0].params["client_id"] == "broker"


async def test_nothing_of_a_key_prints(kind: str) -> None:
    """Security rule B13."""
    options = {**KINDS[kind].options, "private_key": pem("P-256")}
    async with open_case(kind, options=options) as case:
        registration = vars(case.provider)["_registration"]
        printed = repr((case.settings, vars(case.provider), vars(registration), vars(registration.client_auth)))
        assert pem("P-256").splitlines()[1] not in printed


async def test_assertions_are_made_for_one_provider_alone(kind: str) -> None:
    """Security rule B18: two providers, two issuers in `aud`, though a careless administrator gave both one key."""
    options = {**KINDS[kind].options, "private_key": pem("P-256")}
    theirs = {**KINDS["oidc"].options, "private_key": pem("P-256")}
    async with (
        open_case(kind, options=options) as ours,
        open_case("oidc", idp={"issuer": "https://evil.example"}, options=theirs) as evil,
    ):
        evil.idp.assertions.keys = ours.idp.assertions.keys = [verification_key("P-256")]
        names(ours)
        await evil.sign_in()
        stolen = evil.idp.calls("token")[0].params["client_assertion"]
        assert not ours.idp.assertions.accepts(stolen, "broker", ours.clock.now())
        await ours.sign_in()
