"""Google groups by a service account: every page, by either API, and unknown whenever anything is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from providers import google
from providers.base import Diagnoses, Groups, ProviderSettings, ProviderSettingsError, Verdict
from providers.http import UpstreamHttp
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI, Case, Clock, open_case
from tests.providers.pem import pem
from tests.providers.scripted_directory import ACCOUNT, ADMIN, Directory, key_file
from tests.providers.scripted_faults import ABSENT, Answer

THROTTLED_403 = Answer(403, b'{"error": {"errors": [{"reason": "rateLimitExceeded"}]}}')
ENG, ALL = "eng@example.com", "all@example.com"


def pages_of(pages: list[list[str]], *others: str) -> dict[str, list[list[str]]]:
    """Return alice's pages, and the same for others, as both APIs look them up."""
    return dict.fromkeys(("u-alice", "alice@example.com", *others), pages)


@asynccontextmanager
async def directory_case(
    folder: Path, *, delegated: bool, hosted_domains: str = "example.com", **changes: Any
) -> AsyncIterator[tuple[Case, Directory]]:
    """Open a case of Google with a directory; `delegated`: the service account acts for an administrator."""
    clock = Clock()
    directory = Directory(clock.now)
    options = {"service_account_file": key_file(folder), "hosted_domains": hosted_domains}
    if delegated:
        options["admin_subject"] = ADMIN
    async with open_case("google", idp={"routes": directory.routes}, options=options, **changes) as case:
        case.clock.value = clock.value
        yield case, directory


@pytest.fixture(params=[True, False], ids=["directory", "cloud-identity"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Case, Directory]]:
    """Open a case with each API; alice is in two groups there."""
    async with directory_case(tmp_path, delegated=request.param) as (case, directory):
        directory.pages = pages_of([[ENG, ALL]], ADMIN, ACCOUNT)
        yield case, directory


async def test_groups_are_named_by_their_addresses(both: tuple[Case, Directory]) -> None:
    """Complete, from whichever API."""
    case, directory = both
    assert (await case.sign_in()).groups == Groups.known((ENG, ALL))
    assert len(directory.tokens) == 1


async def test_the_directory_is_asked_by_id_and_for_an_administrator(tmp_path: Path) -> None:
    """Security rule B10: an address is never an identity; `sub` in the assertion is the administrator (domain-wide delegation)."""
    async with directory_case(tmp_path, delegated=True) as (case, directory):
        directory.pages["u-alice"] = [[ENG]]
        assert (await case.sign_in()).groups == Groups.known((ENG,))
        assert directory.queries[0]["userKey"] == "u-alice"
        assert directory.tokens[0]["sub"] == ADMIN


async def test_cloud_identity_is_asked_for_groups_within_groups(tmp_path: Path) -> None:
    """The service account acts for itself."""
    async with directory_case(tmp_path, delegated=False) as (case, directory):
        directory.pages["alice@example.com"] = [[ENG]]
        assert (await case.sign_in()).groups == Groups.known((ENG,))
        assert directory.queries[0]["query"] == (
            "member_key_id == 'alice@example.com' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
        )
        assert "sub" not in directory.tokens[0]


async def test_an_address_cannot_end_the_query(tmp_path: Path) -> None:
    """An apostrophe is allowed in an address, and a query is made of it."""
    async with directory_case(tmp_path, delegated=False) as (case, directory):
        case.idp.faults.claims["email"] = "o'brien\\@example.com"
        await case.sign_in()
        assert directory.queries[0]["query"].startswith("member_key_id == 'o\\'brien\\\\@example.com' && ")


async def test_every_page_is_read(both: tuple[Case, Directory]) -> None:
    """A group on the second page may be the one that denies."""
    case, directory = both
    pages = [[f"g{page}-{n}@example.com" for n in range(3)] for page in range(4)]
    directory.pages = pages_of([*pages, [ENG], [ENG]])
    groups = (await case.sign_in()).groups
    assert groups == Groups.known((*(name for page in pages for name in page), ENG))
    assert [query.get("pageToken") for query in directory.queries] == [None, "1", "2", "3", "4", "5"]


async def test_nobody_in_any_group_is_in_none(both: tuple[Case, Directory]) -> None:
    """Google leaves the list out where it is empty: that is an answer."""
    case, directory = both
    directory.pages = pages_of([[]])
    assert (await case.sign_in()).groups == Groups.known(())


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("token", faulty.error(400, "invalid_grant"), "groups_refused"),
        ("token", faulty.error(401, "unauthorized_client"), "groups_refused"),
        ("token", faulty.HTML, "groups_refused"),
        ("token", faulty.DOWN, "groups_unavailable"),
        ("api", faulty.FORBIDDEN, "groups_refused"),
        ("api", faulty.UNAUTHORIZED, "groups_refused"),
        ("api", faulty.NOT_FOUND, "groups_refused"),
        ("api", faulty.EMPTY_400, "groups_refused"),
        ("api", THROTTLED_403, "groups_unavailable"),
        ("api", faulty.THROTTLED, "groups_unavailable"),
        ("api", faulty.DOWN, "groups_unavailable"),
        ("api", faulty.REDIRECT, "groups_unavailable"),
        ("api", faulty.HTML, "groups_malformed"),
        ("api", faulty.OVERSIZED, "too_large"),
    ],
)
async def test_whatever_fails_leaves_the_groups_unknown_and_the_login_standing(
    both: tuple[Case, Directory], name: str, answer: Answer, reason: str
) -> None:
    """Unknown fails closed, says why, and keeps nobody out who needs no group."""
    case, directory = both
    directory.answers |= {"token": answer} if name == "token" else {"directory": answer, "cloud_identity": answer}
    identity = await case.sign_in()
    assert identity.groups == Groups.unknown(reason)
    directory.answers.clear()
    assert (await case.refresh(identity)).groups == Groups.known((ENG, ALL))


@pytest.mark.parametrize(
    "body",
    [
        {"groups": {}, "memberships": {}},
        {"groups": [7], "memberships": [7]},
        {"groups": [{"name": "x"}], "memberships": [{"groupKey": {}}]},
        {"groups": [{"email": ""}], "memberships": [{"groupKey": []}]},
        {"groups": [{"email": ["x"]}], "memberships": [{"groupKey": "x"}]},
        {"groups": [], "memberships": [], "nextPageToken": 7},
        {"groups": [], "memberships": [], "nextPageToken": "x" * 5000},
    ],
    ids=str,
)
async def test_a_page_that_cannot_be_read_leaves_the_groups_unknown(
    both: tuple[Case, Directory], body: dict[str, Any]
) -> None:
    """A group left out could be the one that denies."""
    case, directory = both
    directory.body = body
    assert (await case.sign_in()).groups == Groups.unknown("groups_malformed")


async def test_a_membership_may_list_its_keys(tmp_path: Path) -> None:
    """As the reference shows it in places."""
    async with directory_case(tmp_path, delegated=False) as (case, directory):
        directory.pages["alice@example.com"] = [[]]
        directory.body = {"memberships": [{"groupKey": [{"id": ENG}]}]}
        assert (await case.sign_in()).groups == Groups.known((ENG,))


async def test_pages_without_end_are_not_followed(both: tuple[Case, Directory]) -> None:
    """A bound on what one login may cost."""
    case, directory = both
    directory.next_page = "0"
    assert (await case.sign_in()).groups == Groups.unknown("too_many_pages")
    assert len(directory.queries) == 20


@pytest.mark.parametrize("delegated", [True, False])
@pytest.mark.parametrize("hd", [ABSENT, 7])
async def test_an_account_of_no_workspace_is_in_no_directory(tmp_path: Path, hd: Any, delegated: bool) -> None:  # noqa: FBT001 - a table
    """Nothing is asked about strangers."""
    async with directory_case(tmp_path, delegated=delegated, hosted_domains="") as (case, directory):
        case.idp.faults.claims["hd"] = case.idp.faults.userinfo["hd"] = hd
        assert (await case.sign_in()).groups == Groups.unknown("account_outside_workspace")
        assert not directory.queries


async def test_without_an_address_cloud_identity_cannot_be_asked(tmp_path: Path) -> None:
    """It knows people by their addresses only."""
    async with directory_case(tmp_path, delegated=False) as (case, _):
        case.idp.faults.claims["email"] = case.idp.faults.userinfo["email"] = ABSENT
        assert (await case.sign_in()).groups == Groups.unknown("claim_absent")


async def test_a_service_accounts_token_is_kept_until_shortly_before_its_end(both: tuple[Case, Directory]) -> None:
    """One request less in every login; a clock that went back gets a new one (security rule F4)."""
    case, directory = both
    for _ in range(3):
        await case.sign_in()
    assert len(directory.tokens) == 1
    directory.now = case.clock.now
    for moved, count in ((3599 - 61, 1), (1, 2), (-7200, 3)):
        case.clock.value += moved
        await case.sign_in()
        assert len(directory.tokens) == count


async def test_a_slow_directory_has_half_of_the_time_limit(tmp_path: Path) -> None:
    """Security rule B7: the login itself must not end with it."""
    async with directory_case(tmp_path, delegated=True, timeout=0.4) as (case, directory):
        directory.answers["token"] = Answer(200, delay=30)
        assert (await case.sign_in()).groups == Groups.unknown("groups_unavailable")


async def test_a_key_file_that_goes_away_between_the_checks_is_named(tmp_path: Path) -> None:
    """The administrator reads which setting, not a traceback."""
    given = settings({"service_account_file": str(tmp_path / "gone.json")})
    with pytest.raises(ProviderSettingsError, match="provider google: SERVICE_ACCOUNT_FILE cannot be used"):
        google.group_source(given, UpstreamHttp(httpx2.AsyncClient(), timeout=1.0), lambda: 0)


async def check(case: Case) -> tuple[Verdict, str]:
    """Return the verdict about groups, with its words."""
    assert isinstance(case.provider, Diagnoses)
    (found,) = [c for c in await case.provider.check(REDIRECT_URI) if c.name == "groups"]
    assert "upstream words" not in repr(found)
    return found.status, f"{found.detail}; {found.fix}"


async def test_whether_groups_may_be_read_is_found_without_a_person(both: tuple[Case, Directory]) -> None:
    """Asked about the administrator, or the service account itself."""
    case, directory = both
    status, words = await check(case)
    assert status is Verdict.OK
    assert ACCOUNT in words
    directory.answers |= dict.fromkeys(("directory", "cloud_identity"), faulty.FORBIDDEN)
    status, words = await check(case)
    assert status is Verdict.FAIL
    assert "Google Admin console" in words
    directory.answers |= dict.fromkeys(("directory", "cloud_identity"), faulty.DOWN)
    status, words = await check(case)
    assert status is Verdict.FAIL
    assert "enable the API" in words


def settings(options: dict[str, str]) -> ProviderSettings:
    """Return settings that are good but for these options."""
    return ProviderSettings(
        id="google", type="google", display_name="Google", issuer=google.ISSUER, client_id="broker", options=options
    )


@pytest.mark.parametrize(
    "file",
    [
        {"client_email": None},
        {"client_email": "nobody"},
        {"token_uri": "http://oauth2.googleapis.com/token"},
        {"token_uri": None},
        {"private_key": None},
        {"private_key": "not a key"},
        {"private_key": "/etc/passwd"},
        {"private_key": pem("RSA-1024")},
    ],
    ids=lambda file: next(iter(file)),
)
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, file: dict[str, Any]) -> None:
    """Security rules B13, G16: without any of its content."""
    (sentence,) = google.TYPE.faults(settings({"service_account_file": key_file(tmp_path, **file)}))
    assert sentence == "SERVICE_ACCOUNT_FILE must name the JSON key file of a service account"


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    """Security rule G16."""
    (tmp_path / "x").write_bytes(b"\xff{")
    (sentence,) = google.TYPE.faults(settings({"service_account_file": str(tmp_path / "x")}))
    assert sentence.startswith("SERVICE_ACCOUNT_FILE")
