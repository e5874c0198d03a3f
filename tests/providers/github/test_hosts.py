"""github.com, GHE.com and Enterprise Server: who answers where, and what names the person."""

from __future__ import annotations

import pytest

from tests.providers.github.case import open_github
from tests.providers.github.scripted_github import ScriptedGitHub
from tests.providers.scripted_faults import ABSENT

HOSTS = [
    ("https://github.corp.example", "https://github.corp.example/api/v3"),
    ("https://octo.ghe.com", "https://api.octo.ghe.com"),
]


@pytest.mark.parametrize(("base_url", "api_url"), HOSTS)
async def test_each_host_has_its_own_endpoints(base_url: str, api_url: str) -> None:
    """No request of an Enterprise Server's people goes to github.com, revocation included."""
    async with open_github(ScriptedGitHub(base_url, api_url)) as github:
        identity = await github.sign_in()
        assert identity.tokens is not None
        await github.provider.revoke(identity.tokens)
        hosts = {call.headers["host"] for call in github.idp.requests}
    assert hosts == {url.split("/")[2] for url in (base_url, api_url)}
    assert not github.idp.tokens


@pytest.mark.parametrize(("base_url", "api_url"), HOSTS)
async def test_a_number_is_a_person_of_its_host(base_url: str, api_url: str) -> None:
    """Security rule B10: the same number elsewhere is somebody else."""
    async with open_github(ScriptedGitHub(base_url, api_url)) as here, open_github() as there:
        one, other = await here.sign_in(), await there.sign_in()
    assert one.subject == other.subject
    assert one.issuer == f"{base_url}/login/oauth" != other.issuer


@pytest.mark.parametrize(("base_url", "api_url"), HOSTS)
async def test_elsewhere_than_github_com_iss_may_be_absent_and_never_wrong(base_url: str, api_url: str) -> None:
    """Security rule B1: their metadata is no evidence, so that absence is fine unless settings say otherwise."""
    async with open_github(ScriptedGitHub(base_url, api_url)) as github:
        assert (await github.sign_in()).subject == "583231"
        github.idp.faults.callback["iss"] = f"{base_url}/login/oauth"
        assert (await github.sign_in()).subject == "583231"
        github.idp.faults.callback["iss"] = "https://github.com/login/oauth"
        await github.is_refused("callback_issuer")
    async with open_github(ScriptedGitHub(base_url, api_url), options={"require_iss": "true"}) as github:
        await github.is_refused("callback_issuer_absent")


async def test_requiring_iss_can_be_switched_off_on_github_com() -> None:
    """What a provider announces may come late; a wrong one is refused all the same."""
    async with open_github(options={"require_iss": "false"}) as github:
        github.idp.faults.callback["iss"] = ABSENT
        assert (await github.sign_in()).subject == "583231"
        github.idp.faults.callback["iss"] = "https://evil.example"
        await github.is_refused("callback_issuer")


async def test_an_api_elsewhere_can_be_named() -> None:
    """API_URL, for an Enterprise Server behind another name."""
    github = ScriptedGitHub("https://github.corp.example", "https://api.corp.example/v3")
    async with open_github(github, options={"api_url": "https://api.corp.example/v3/"}) as case:
        assert (await case.sign_in()).subject == "583231"


async def test_a_loopback_host_serves_over_http_in_development() -> None:
    """Architecture, section 7: `http` only on loopback with a loopback issuer."""
    github = ScriptedGitHub("http://127.0.0.1:9400", "http://127.0.0.1:9400/api/v3")
    async with open_github(github, loopback=True) as case:
        assert (await case.sign_in()).issuer == "http://127.0.0.1:9400/login/oauth"
