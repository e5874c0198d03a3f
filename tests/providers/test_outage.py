"""A provider that is slow or down (security rule B7; faults survived)."""

from __future__ import annotations

import asyncio

import pytest

from providers.base import Callback, Fault, UpstreamError
from tests.providers import scripted_faults as faulty
from tests.providers.case import open_case, upstream_request


@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks"])
async def test_a_slow_endpoint_ends_in_time(endpoint: str) -> None:
    """Security rule B7: a clear failure within the time limit."""
    async with open_case("oidc", timeout=0.2) as case:
        request = upstream_request()
        case.idp.faults.delay[endpoint] = 30
        with pytest.raises(UpstreamError) as caught:
            await case.sign_in(request)
        assert (caught.value.fault, caught.value.reason) == (Fault.TRANSIENT, "timeout")
        assert endpoint in [word for word, _ in case.observed]


async def test_a_login_has_one_time_limit_for_all_its_requests() -> None:
    """Faults survived: a clear page in time, however many endpoints are slow."""
    async with open_case("oidc", timeout=0.2) as case:
        request = upstream_request()
        params = await case.idp.follow(await case.provider.authorization_url(request))
        case.idp.faults.thin_id_token = True
        case.idp.faults.delay |= dict.fromkeys(("token", "jwks", "userinfo"), 0.09)
        with pytest.raises(UpstreamError) as caught:
            await case.provider.identify(Callback(params=params), request)
        assert (caught.value.fault, caught.value.reason) == (Fault.TRANSIENT, "timeout")


async def test_one_sick_provider_slows_no_other() -> None:
    """Security rule B7: nothing is shared between providers."""
    async with open_case("oidc", timeout=5.0) as sick, open_case("keycloak") as well:
        sick.idp.faults.delay["discovery"] = 30
        waiting = asyncio.create_task(sick.sign_in())
        await asyncio.sleep(0)
        assert (await well.sign_in()).subject == "u-alice"
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_crowd_at_a_cold_start_asks_once() -> None:
    """Security rules B7, B8: single flight for metadata and keys."""
    async with open_case("oidc") as case:
        await asyncio.gather(*(case.sign_in() for _ in range(8)))
        assert (len(case.idp.calls("discovery")), len(case.idp.calls("jwks"))) == (1, 1)


async def test_a_crowd_before_a_dead_provider_asks_once() -> None:
    """Security rule B7: nobody waits for anybody else's time limit."""
    async with open_case("oidc") as case:
        case.idp.faults.answers["discovery"] = faulty.DOWN
        outcomes = await asyncio.gather(*(case.sign_in() for _ in range(8)), return_exceptions=True)
        assert {str(outcome) for outcome in outcomes} == {"transient: discovery_unavailable"}
        assert len(case.idp.calls("discovery")) == 1


async def test_a_loopback_provider_serves_over_http_in_development() -> None:
    """Architecture, section 7: `http` only on loopback with a loopback issuer."""
    async with open_case("oidc", idp={"issuer": "http://127.0.0.1:9400"}) as case:
        assert (await case.sign_in()).issuer == "http://127.0.0.1:9400"
