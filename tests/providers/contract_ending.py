"""Contract: an upstream session ended by the browser (OpenID Connect RP-Initiated Logout 1.0; security rule B13)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from providers.base import EndsSession, Fault
from tests.providers import scripted_faults as faulty
from tests.providers.case import Case, ended, judged

HOME = "https://broker.example.test/logged-out"


async def test_a_session_ends_where_the_metadata_says(case: Case) -> None:
    """RP-Initiated Logout section 2: the way back is ours."""
    assert isinstance(case.provider, EndsSession)
    identity = await case.sign_in()
    url = await case.provider.logout_url(identity.tokens, return_to=HOME)
    assert url is not None
    assert url.startswith(f"{case.idp.issuer.removesuffix('/')}/logout?")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert sent["client_id"] == "broker"
    assert HOME in sent.values()
    assert identity.tokens is not None
    assert identity.tokens.access_token not in url
    assert await case.provider.logout_url(None, return_to=HOME) is not None


async def test_a_session_cannot_be_ended_while_there_is_no_metadata(case: Case) -> None:
    """An outage is told, not hidden."""
    assert isinstance(case.provider, EndsSession)
    case.idp.faults.answers["discovery"] = faulty.DOWN
    error = judged(await ended(case.provider.logout_url(None, return_to=HOME)))
    assert error.fault is Fault.TRANSIENT
