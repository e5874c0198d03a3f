"""The provider contract without OpenID Connect, for the forge of the example package as it is installed, and what is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.base import Fault, Groups, RefreshesIdentity
from providers.registry import provider_types
from tests.providers import scripted_faults as faulty
from tests.providers.case import START, Case, open_case, upstream_request
from tests.providers.contract_oauth import *  # noqa: F403 - the tests
from tests.providers.example import SHAPES, ScriptedForge, entries
from tests.providers.scripted_faults import ABSENT
from tests.providers.scripted_idp import Person

pytestmark = pytest.mark.xdist_group("example package")  # installed once


@pytest.fixture
async def case(example_package: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    """Open a case of the installed type."""
    monkeypatch.syspath_prepend(example_package)
    types = provider_types(entries(example_package))
    async with open_case("forge", shape=SHAPES["forge"], types=types, script=ScriptedForge) as opened:
        yield opened


async def test_a_person_is_who_the_api_says_to_the_token_of_this_code(case: Case) -> None:
    """Security rule B10."""
    identity = await case.sign_in()
    assert (identity.issuer, identity.subject, identity.name) == (case.idp.issuer, "u-alice", "Alice A")
    assert identity.groups == Groups.known(("/eng", "/eng/platform"))
    assert (identity.auth_time, identity.auth_time_stated, identity.acr) == (START, False, None)
    assert isinstance(case.provider, RefreshesIdentity)


@pytest.mark.parametrize("wanted", [{"max_age": 600}, {"acr_values": ("mfa",)}])
async def test_a_step_up_that_nothing_could_prove_ends_the_login(case: Case, wanted: dict[str, object]) -> None:
    """Security rule B5: never taken as met."""
    error = await case.refusal(upstream_request(**wanted))
    assert error.reason == "step_up_unsupported"


async def test_a_leaver_is_out_at_the_next_re_check_and_teams_are_read_again(case: Case) -> None:
    """Security rule B16."""
    before = await case.sign_in()
    alice = case.idp.people["alice"]
    case.idp.people["alice"] = Person(alice.sub, {**alice.claims, "groups": ["/sales"]})
    case.clock.value += 900
    after = await case.refresh(before)
    assert (after.groups, after.auth_time) == (Groups.known(("/sales",)), before.auth_time)
    case.idp.disabled.add("alice")
    error = await case.no_refresh(before)
    assert (error.fault, error.reason) == (Fault.PERMANENT, "token_revoked")


async def test_an_outage_ends_nothing(case: Case) -> None:
    """Security rule B16."""
    before = await case.sign_in()
    for answer in (faulty.DOWN, faulty.THROTTLED):
        case.idp.faults.answers["userinfo"] = answer
        assert (await case.no_refresh(before)).fault is Fault.TRANSIENT


async def test_an_answer_that_names_nobody_is_refused(case: Case) -> None:
    """Security rule B6; teams that cannot be read are unknown, and unknown fails closed."""
    before = await case.sign_in()
    case.idp.faults.userinfo["sub"] = "u-bob"
    assert (await case.no_refresh(before)).reason == "subject_changed"
    case.idp.faults.userinfo["sub"] = ABSENT
    await case.is_refused("user_malformed")
    case.idp.faults.userinfo = {"groups": ABSENT}
    assert (await case.sign_in()).groups == Groups.unknown("claim_malformed")
