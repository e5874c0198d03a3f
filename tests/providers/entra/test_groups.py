"""Groups: in the token, or from Graph by an address of ours (facts, section 1.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.base import Groups
from tests.providers import scripted_faults as faulty
from tests.providers.entra.case import EntraCase, open_entra
from tests.providers.entra.scripted_entra import PLATFORM, SALES, Directory
from tests.providers.scripted_faults import Answer

HOSTILE = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://evil.example/v1.0/users/alice/getMemberObjects"}},
}
TOO_MANY = {"error": {"code": "Directory_ResultSizeLimitExceeded", "message": "upstream words"}}


async def test_groups_in_the_token_are_all_of_them(entra: EntraCase) -> None:
    """Graph is not asked where it has nothing to add; an empty list is an answer."""
    for groups in ([PLATFORM], []):
        entra.idp.faults.claims["groups"] = groups
        assert (await entra.sign_in()).groups == Groups.known(tuple(groups))
    assert not entra.idp.calls("graph")


@pytest.mark.parametrize("overage", [{}, HOSTILE, {"hasgroups": True}, {**HOSTILE, "groups": [SALES]}], ids=str)
async def test_what_the_token_does_not_hold_graph_lists(entra: EntraCase, overage: dict[str, Any]) -> None:
    """Security rule B13: the address in the token is never followed; every request goes to a host of the settings."""
    entra.idp.faults.claims |= overage
    assert (await entra.sign_in()).groups == Groups.known((PLATFORM, SALES))
    hosts = {call.headers["host"] for call in entra.idp.requests}
    assert hosts == {"login.microsoftonline.com", "graph.microsoft.com"}
    assert len(entra.idp.calls("graph")) == 1


async def test_a_person_without_groups_has_none_and_not_unknown_ones(entra: EntraCase) -> None:
    """Empty is an answer."""
    entra.idp.directory.clear()
    assert (await entra.sign_in()).groups == Groups.known(())


async def test_graph_is_read_to_its_last_page(entra: EntraCase) -> None:
    """`@odata.nextLink`, on this host."""
    groups = [f"fee2c45b-915a-4a64-b130-{n:012x}" for n in range(5)]
    entra.idp.directory["pairwise-alice"] = Directory(groups)
    entra.idp.graph_page_size = 2
    assert (await entra.sign_in()).groups == Groups.known(tuple(groups))
    assert len(entra.idp.calls("graph")) == 3


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/v1.0/me/getMemberObjects",
        "http://graph.microsoft.com/v1.0/me/getMemberObjects",
        "https://graph.microsoft.com.evil.example/v1.0/me",
        "https://token@graph.microsoft.com/v1.0/me",
        "https://graph.microsoft.com/beta/me",
        "https://[graph/v1.0/",
        "/v1.0/me/getMemberObjects",
        7,
    ],
)
async def test_a_next_page_elsewhere_is_not_followed(entra: EntraCase, elsewhere: Any) -> None:
    """Security rule B13: the person's token goes to this Graph and nowhere else."""
    entra.idp.graph_page_size, entra.idp.graph_next = 1, elsewhere
    assert (await entra.sign_in()).groups == Groups.unknown("paging_elsewhere")
    assert len(entra.idp.calls("graph")) == 1


async def test_a_list_without_end_is_unknown(entra: EntraCase) -> None:
    """Security rule B7: bounded in requests."""
    entra.idp.graph_page_size = 1
    entra.idp.graph_next = "https://graph.microsoft.com/v1.0/me/getMemberObjects?$skiptoken=1"
    entra.idp.directory["pairwise-alice"] = Directory([PLATFORM, SALES, PLATFORM])
    assert (await entra.sign_in()).groups == Groups.unknown("too_many_pages")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (faulty.FORBIDDEN, "graph_forbidden"),
        (faulty.UNAUTHORIZED, "graph_unauthorized"),
        (faulty.THROTTLED, "graph_throttled"),
        (faulty.DOWN, "graph_unavailable"),
        (faulty.NOT_FOUND, "graph_refused"),
        (faulty.REDIRECT, "graph_refused"),
        (Answer(400, json.dumps(TOO_MANY).encode()), "too_many_groups"),
        (faulty.HTML, "graph_malformed"),
        (faulty.OVERSIZED, "too_large"),
        (Answer(200, b'{"value": "all"}'), "graph_malformed"),
        (Answer(200, b'{"value": ["not an id"]}'), "graph_malformed"),
        (Answer(200, b"[]"), "graph_malformed"),
    ],
)
async def test_what_graph_refuses_is_unknown_with_its_reason(entra: EntraCase, answer: Answer, reason: str) -> None:
    """Unknown fails closed; the login goes on (security rule B12)."""
    entra.idp.faults.answers["graph"] = answer
    identity = await entra.sign_in()
    assert (identity.groups, identity.attributes["tenant"]) == (Groups.unknown(reason), (identity.subject[:36],))


async def test_a_graph_that_hangs_costs_the_groups_and_not_the_login() -> None:
    """Security rule B7: the directory has a share of the time."""
    async with open_entra(timeout=0.6) as entra:
        entra.idp.faults.delay["graph"] = 30
        identity = await entra.sign_in()
    assert identity.groups.names is None
    assert identity.subject


async def test_a_malformed_claim_is_unknown(entra: EntraCase) -> None:
    """Neither Graph nor a guess mends it."""
    entra.idp.faults.claims["groups"] = {"fee2": True}
    assert (await entra.sign_in()).groups == Groups.unknown("claim_malformed")


async def test_a_claim_of_ones_own_is_the_only_place_looked_at() -> None:
    """GROUPS_CLAIM, such as app roles: then Graph is not asked, and too many for the token are unknown."""
    async with open_entra(options={"groups_claim": "roles"}) as entra:
        assert (await entra.sign_in()).groups == Groups.unknown("claim_absent")
        entra.idp.faults.claims["roles"] = ["Files.Reader"]
        assert (await entra.sign_in()).groups == Groups.known(("Files.Reader",))
        entra.idp.faults.claims |= HOSTILE
        assert (await entra.sign_in()).groups == Groups.unknown("overage")
        assert not entra.idp.calls("graph")
