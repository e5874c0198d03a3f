"""How the broker proves who it is to Entra, and an answer that never came: the contract's rules B14 and B18 in Entra's shapes.

Entra wants the token endpoint as `aud` and, with a certificate, PS256; it takes no token back, so there is no third kind of request.
"""

from __future__ import annotations

from providers.base import Fault
from tests.providers.entra.case import open_entra
from tests.providers.entra.scripted_entra import FABRIKAM
from tests.providers.pem import certificate, pem, verification_key


def registered(which: int = 0) -> dict[str, str]:
    """Return the options of a key and its certificate."""
    return {"private_key": pem("RSA", which), "certificate": certificate("RSA", which)}


async def test_every_request_has_an_assertion_of_its_own() -> None:
    """Security rule B18: one `aud`, a `jti` once, for code and refresh alike; the scripted service refuses a second use."""
    async with open_entra(options=registered()) as entra:
        entra.idp.assertions.keys = [verification_key("RSA")]
        await entra.refresh(await entra.refresh(await entra.sign_in()))
        seen = [claims for _, claims in entra.idp.assertions.seen]
        assert len({claims["jti"] for claims in seen}) == len(seen) == 3
        assert {claims["aud"] for claims in seen} == {entra.idp.assertions.audience}
        assert all(claims["exp"] - claims["iat"] == 300 for claims in seen)
        assert "client_secret" not in str([call.params for call in entra.idp.requests])


async def test_an_assertion_by_another_key_is_our_operators_matter() -> None:
    """Security rule B18: a provider's key is for that provider alone; nobody loses a grant over it."""
    async with open_entra(options=registered(1)) as entra:
        entra.idp.assertions.keys = [verification_key("RSA", 1)]
        identity = await entra.sign_in()
        entra.idp.assertions.keys = [verification_key("RSA", 2)]
        assert (await entra.no_refresh(identity)).fault is Fault.OPERATOR
        assert (await entra.refusal()).fault is Fault.OPERATOR


async def test_assertions_are_made_for_one_tenant_alone() -> None:
    """Security rule B18: two tenants, two endpoints in `aud`, though a careless administrator gave both one key."""
    async with open_entra(options=registered()) as ours, open_entra(FABRIKAM, options=registered()) as theirs:
        ours.idp.assertions.keys = theirs.idp.assertions.keys = [verification_key("RSA")]
        await theirs.as_("frank")
        stolen = theirs.idp.calls("token")[0].params["client_assertion"]
        assert not ours.idp.assertions.accepts(stolen, ours.settings.client_id, ours.clock.now())
        await ours.sign_in()
        claims = [entra.idp.assertions.seen[-1][1] for entra in (ours, theirs)]
        assert claims[0]["aud"] != theirs.idp.assertions.audience


async def test_an_answer_lost_after_the_request_says_so_and_the_old_token_stays_good() -> None:
    """Security rule B14: Entra does not rotate at once, so what the broker kept still serves."""
    async with open_entra(timeout=0.3) as entra:
        identity = await entra.sign_in()
        entra.idp.faults.delay["token"] = 30
        error = await entra.no_refresh(identity)
        assert (error.fault, error.reason, error.tokens) == (Fault.TRANSIENT, "answer_lost", None)
        entra.idp.faults.delay.clear()
        assert (await entra.refresh(identity)).subject == entra.alice


async def test_a_refresh_before_a_service_without_metadata_spends_nothing() -> None:
    """Security rules B7, B14: the token request was never sent, which is another word."""
    async with open_entra(timeout=0.3) as signed_in, open_entra(timeout=0.3) as entra:
        identity = await signed_in.sign_in()
        entra.idp.faults.delay["discovery"] = 30
        assert (await entra.no_refresh(identity)).reason == "timeout"
        assert not entra.idp.calls("token")
