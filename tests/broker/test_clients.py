"""Which client an id names, and how fresh that answer is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.clients import MAX_JWKS, MOST_STORED, ClientResolver
from broker.model import Client, ClientSource
from broker.oauth import InvalidClient, Reason, TemporarilyUnavailable, TooManyRequests
from broker.outbound import Fetched, FetchFailed, GuardedFetcher
from broker.settings import Settings
from broker.store.base import StoreUnavailable
from tests.broker.assertions import key_of, public
from tests.broker.client_store import ClientStore
from tests.broker.records import make_client
from tests.broker.resource_issuer import ManualClock

SOURCE = "192.0.2.1"
URL = "https://client.example/client.json"
JWKS = "https://client.example/jwks.json"
STORED = make_client(client_id="c_stored", source=ClientSource.REGISTERED, expires_at=5)
CONFIGURED = make_client(client_id="inspector")


def document(**changes: Any) -> dict[str, Any]:
    return {"client_id": URL, "client_name": "App", "redirect_uris": ["https://client.example/cb"]} | changes


class Web(GuardedFetcher):
    """A web of JSON objects: the real guard's judgement of URLs, no sockets."""

    def __init__(self, settings: Settings, clock: ManualClock) -> None:
        super().__init__(settings, clock=clock)
        self.pages: dict[str, dict[str, Any] | Exception] = {}
        self.asked: list[str] = []
        self.vouched: list[bool] = []

    async def fetch(self, url: str, *, source: str, max_bytes: int, vouched: bool = False) -> Fetched:
        assert source == SOURCE
        assert max_bytes in (5120, MAX_JWKS)
        self._judge(url, vouched=vouched)
        self.asked.append(url)
        self.vouched.append(vouched)
        page = self.pages.get(url, FetchFailed("name", unreachable=True))
        if isinstance(page, Exception):
            raise page
        return Fetched(document=page, lifetime=300)


class House:
    """A resolver among its collaborators."""

    def __init__(self, **changes: Any) -> None:
        fields: dict[str, Any] = {"issuer": "https://broker.example.com", "clients": (CONFIGURED,)}
        settings = Settings(**fields | changes)
        self.clock = ManualClock()
        self.store = ClientStore(STORED)
        self.web = Web(settings, self.clock)
        self.resolver = ClientResolver(settings, store=self.store.as_store, fetcher=self.web, clock=self.clock)

    async def resolve(self, client_id: str) -> Client:
        return await self.resolver.resolve(client_id, source=SOURCE)

    async def refusal(self, client_id: str) -> Reason:
        with pytest.raises(InvalidClient) as refused:
            await self.resolve(client_id)
        return refused.value.reason

    async def at_token(self, client_id: str, snapshot: Client | None) -> Client:
        return await self.resolver.at_token(client_id, snapshot, source=SOURCE)


@pytest.fixture
def house() -> House:
    return House()


async def test_configured_clients_come_before_stored_ones_and_those_before_documents(house: House) -> None:
    """Architecture, section 2: configured, then registered, then CIMD by its URL."""
    house.store.clients["inspector"] = replace(STORED, client_id="inspector")
    house.web.pages[URL] = document()
    assert await house.resolve("inspector") is CONFIGURED
    assert await house.resolve("c_stored") == STORED
    assert (await house.resolve(URL)).source is ClientSource.METADATA_DOCUMENT


NO_ID = ("", "c_stored ", "c_stored\x00", "\ud800", "x" * 3000, "ftp://client.example/c", "HTTPS://client.example/c")
NO_URL = (
    "https://",
    "http://localhost/c",
    "https://client.example",
    "https://client.example/a/../b",
    "https://u@client.example/c",
)


@pytest.mark.parametrize("client_id", ["nobody", *NO_ID, *NO_URL])
async def test_an_unknown_id_is_unknown_and_causes_no_fetch(client_id: str, house: House) -> None:
    """Rules D8, E14; no id reaches the database that cannot be one."""
    assert await house.refusal(client_id) is Reason.CLIENT_UNKNOWN
    assert house.web.asked == []
    assert house.store.calls["find_client"] == (1 if client_id == "nobody" else 0)


async def test_metadata_documents_can_be_switched_off_and_narrowed() -> None:
    """BROKER_CIMD, BROKER_CIMD_ALLOWED_HOSTS."""
    for house in (House(cimd=False), House(cimd_allowed_hosts=("other.example",))):
        house.web.pages[URL] = document()
        assert await house.refusal(URL) is Reason.CLIENT_UNKNOWN
        with pytest.raises(InvalidClient):
            await house.at_token(URL, make_client(client_id=URL, source=ClientSource.METADATA_DOCUMENT))
        assert house.web.asked == []


async def test_stored_clients_are_remembered_until_the_store_says_that_something_changed(house: House) -> None:
    """Architecture, section 8: what commands change holds within a second."""
    for _ in range(3):
        await house.resolve("c_stored")
    assert house.store.calls == {"changes": 1, "blocked_clients": 1, "find_client": 1}
    del house.store.clients["c_stored"]
    house.store.change()
    house.clock.advance(1)
    assert await house.refusal("c_stored") is Reason.CLIENT_UNKNOWN


async def test_a_client_that_registers_later_is_found_at_once(house: House) -> None:
    """Claude registers and uses the id within a second: absence is never remembered."""
    assert await house.refusal("c_new") is Reason.CLIENT_UNKNOWN
    house.store.clients["c_new"] = replace(STORED, client_id="c_new")
    assert (await house.resolve("c_new")).client_id == "c_new"


async def test_an_answer_older_than_a_change_is_not_remembered(house: House) -> None:
    """Rule E11 in spirit: a removed client does not come back from a cache."""
    read = house.store.find_client

    async def overtaken(client_id: str) -> Client | None:
        found = await read(client_id)
        house.store.find_client = read  # type: ignore[method-assign]
        house.store.change()
        house.clock.advance(1)
        await house.resolve("inspector")
        return found

    house.store.find_client = overtaken  # type: ignore[method-assign]
    await house.resolve("c_stored")
    del house.store.clients["c_stored"]
    assert await house.refusal("c_stored") is Reason.CLIENT_UNKNOWN


@pytest.mark.parametrize("client_id", ["inspector", "c_stored", URL])
async def test_a_block_holds_within_a_second_for_every_kind_of_client(client_id: str, house: House) -> None:
    """`clients block`; at the token endpoint too, whatever the grant remembers."""
    house.web.pages[URL] = document()
    client = await house.resolve(client_id)
    house.store.blocked.add(client_id)
    house.store.change()
    house.clock.advance(1)
    assert await house.refusal(client_id) is Reason.CLIENT_BLOCKED
    with pytest.raises(InvalidClient) as refused:
        await house.at_token(client_id, client)
    assert refused.value.reason is Reason.CLIENT_BLOCKED
    house.store.blocked.clear()
    house.store.change()
    house.clock.advance(1)
    assert await house.resolve(client_id) == client


async def test_a_client_whose_record_is_blocked_is_refused(house: House) -> None:
    """Rule D13: both places of a block count."""
    house.store.clients["c_stored"] = replace(STORED, blocked=True)
    assert await house.refusal("c_stored") is Reason.CLIENT_BLOCKED


async def test_an_outage_of_the_store_is_never_an_unknown_client(house: House) -> None:
    """Architecture, section 4: 503, never invalid_client, which makes clients throw their state away."""
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.resolve("c_stored")


async def test_a_document_is_fetched_once_while_it_is_fresh(house: House) -> None:
    """Rule D9."""
    house.web.pages[URL] = document()
    first = await house.resolve(URL)
    assert await house.resolve(URL) is first
    assert house.web.asked == [URL]
    house.clock.advance(300)
    house.web.pages[URL] = document(client_name="Renamed")
    second = await house.resolve(URL)
    assert second.name == "Renamed"
    assert second.metadata_hash != first.metadata_hash  # rule D11: consent is asked again


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (FetchFailed("timeout", unreachable=True), Reason.CLIENT_DOCUMENT_UNREACHABLE),
        (FetchFailed("status"), Reason.CLIENT_DOCUMENT_INVALID),
        (FetchFailed("address"), Reason.CLIENT_DOCUMENT_INVALID),
        (document(client_id=URL + "x"), Reason.CLIENT_DOCUMENT_INVALID),
        (document(redirect_uris=["javascript:alert(1)"]), Reason.CLIENT_DOCUMENT_INVALID),
        ({}, Reason.CLIENT_DOCUMENT_INVALID),
    ],
)
async def test_a_document_that_cannot_be_had_or_used_is_an_invalid_client_for_seconds(
    page: dict[str, Any] | Exception, reason: Reason, house: House
) -> None:
    """Rules D7, D9: the error is not held, and a good document works a moment later."""
    house.web.pages[URL] = page
    assert await house.refusal(URL) is reason
    house.web.pages[URL] = document()
    house.clock.advance(3)
    assert (await house.resolve(URL)).name == "App"


async def test_a_stale_document_whose_host_is_down_starts_no_login(house: House) -> None:
    """Rule D9: an error is not answered with yesterday's document where somebody is about to consent."""
    house.web.pages[URL] = document()
    await house.resolve(URL)
    house.clock.advance(301)
    house.web.pages[URL] = FetchFailed("timeout", unreachable=True)
    assert await house.refusal(URL) is Reason.CLIENT_DOCUMENT_UNREACHABLE


async def test_a_public_client_s_grant_causes_no_fetch(house: House) -> None:
    """Architecture, registration: a CIMD host that is down ends nobody's grant."""
    snapshot = make_client(client_id=URL, source=ClientSource.METADATA_DOCUMENT)
    assert await house.at_token(URL, snapshot) is snapshot
    assert house.web.asked == []


@pytest.mark.parametrize("client_id", ["inspector", "c_stored"])
async def test_configured_and_stored_clients_are_as_they_are_now(client_id: str, house: House) -> None:
    """A snapshot keeps no removed redirect, secret or key alive."""
    assert await house.at_token(client_id, make_client(client_id=client_id, name="Old")) == await house.resolve(
        client_id
    )
    house.store.clients.clear()
    house.store.change()
    house.clock.advance(1)
    with pytest.raises(InvalidClient):
        await house.at_token("c_stored", STORED)


async def test_a_snapshot_of_another_client_is_not_used(house: House) -> None:
    """Rule E9: whoever presents somebody else's grant is resolved as what they say they are."""
    snapshot = make_client(client_id="https://other.example/c", source=ClientSource.METADATA_DOCUMENT)
    with pytest.raises(InvalidClient):
        await house.at_token(URL, snapshot)
    assert house.web.asked == [URL]
    house.web.pages[URL] = document()
    house.clock.advance(3)
    assert (await house.at_token(URL, None)).client_id == URL


KEY = key_of("ES256")
OTHER = key_of("ES256", 1)
BY_VALUE = document(token_endpoint_auth_method="private_key_jwt", jwks=public(KEY))
BY_URL = document(token_endpoint_auth_method="private_key_jwt", jwks_uri=JWKS)
DOWN = FetchFailed("timeout", unreachable=True)


async def kids(house: House, client: Client, *, renew: bool = False) -> list[str | None]:
    keys = await house.resolver.assertion_keys(client, source=SOURCE, renew=renew)
    return [key.kid for key in keys]


async def test_a_confidential_client_keeps_its_kind_and_takes_its_document_s_keys(house: House) -> None:
    """Security rules E12, D11: never a weaker kind; architecture, registration."""
    house.web.pages[URL] = BY_VALUE
    snapshot = await house.resolve(URL)
    house.clock.advance(300)
    house.web.pages[URL] = BY_VALUE | {"jwks": public(OTHER), "client_name": "Renamed"}
    current = await house.at_token(URL, snapshot)
    assert (current.name, current.token_endpoint_auth_method) == ("App", "private_key_jwt")
    assert await kids(house, current) == ["ES256-1"]
    house.clock.advance(300)
    house.web.pages[URL] = document()
    weakened = await house.at_token(URL, snapshot)
    assert weakened.token_endpoint_auth_method == "private_key_jwt"
    assert await kids(house, weakened) == []


async def test_keys_in_a_document_outlive_an_outage_of_a_day(house: House) -> None:
    """Architecture, registration: assertion keys keep their last good copy for a day; then 503, never invalid_client."""
    house.web.pages[URL] = BY_VALUE
    snapshot = await house.resolve(URL)
    house.web.pages[URL] = DOWN
    house.clock.advance(86_000)
    assert await kids(house, await house.at_token(URL, snapshot)) == ["ES256-0"]
    house.clock.advance(1000)
    with pytest.raises(TemporarilyUnavailable) as refused:
        await house.at_token(URL, snapshot)
    assert refused.value.retry_after
    house.web.pages[URL] = FetchFailed("status")
    house.clock.advance(3)
    with pytest.raises(InvalidClient):
        await house.at_token(URL, snapshot)


async def test_keys_at_a_url_outlive_an_outage_of_a_day(house: House) -> None:
    """Architecture, registration; the document's own outage leaves the snapshot's URL of the keys."""
    house.web.pages |= {URL: BY_URL, JWKS: public(KEY)}
    snapshot = await house.resolve(URL)
    assert await kids(house, snapshot) == ["ES256-0"]
    house.web.pages |= {URL: DOWN, JWKS: DOWN}
    house.clock.advance(86_000)
    assert await kids(house, await house.at_token(URL, snapshot)) == ["ES256-0"]
    house.clock.advance(1000)
    with pytest.raises(TemporarilyUnavailable):
        await kids(house, await house.at_token(URL, snapshot))


@pytest.mark.parametrize(
    "page", [{}, {"keys": []}, {"keys": [dict(KEY.as_dict(private=True))]}, {"keys": [{"kty": "oct", "k": "AA"}]}]
)
async def test_a_key_set_that_cannot_be_used_authenticates_nobody(page: dict[str, Any], house: House) -> None:
    """Rules D7, D12."""
    house.web.pages |= {URL: BY_URL, JWKS: page}
    with pytest.raises(InvalidClient) as refused:
        await kids(house, await house.resolve(URL))
    assert refused.value.reason is Reason.CLIENT_DOCUMENT_INVALID


async def test_a_rotated_key_is_found_by_looking_again_after_a_while(house: House) -> None:
    """Rule B8 in spirit: at most one look in 30 s, whoever sends unknown signatures."""
    house.web.pages |= {URL: BY_URL, JWKS: public(KEY)}
    client = await house.resolve(URL)
    await kids(house, client)
    house.web.pages[JWKS] = public(OTHER)
    assert await kids(house, client, renew=True) == ["ES256-0"]
    house.clock.advance(30)
    assert await kids(house, client, renew=True) == ["ES256-1"]
    house.web.pages[URL] = BY_VALUE
    house.clock.advance(300)
    inline = await house.resolve(URL)
    house.web.pages[URL] = BY_VALUE | {"jwks": public(OTHER)}
    house.clock.advance(30)
    assert await kids(house, inline, renew=True) == ["ES256-1"]


async def test_only_an_administrator_s_key_url_is_vouched_for_and_the_copies_stay_apart() -> None:
    """Rule D12: a stranger who names an internal URL gets nothing out of the copy made for a configured client."""
    inside = "https://keys.corp.example:8443/jwks"
    mine = make_client(client_id="mine", token_endpoint_auth_method="private_key_jwt", jwks_uri=inside)
    house = House(clients=(mine,))
    house.web.pages[inside] = public(KEY)
    assert await kids(house, await house.resolve("mine")) == ["ES256-0"]
    theirs = replace(STORED, token_endpoint_auth_method="private_key_jwt", jwks_uri=inside)
    with pytest.raises(InvalidClient):
        await kids(house, theirs)
    assert house.web.vouched == [True]


async def test_a_client_without_keys_has_none(house: House) -> None:
    """What is not registered authenticates nobody."""
    assert await kids(house, CONFIGURED) == []
    assert await kids(house, CONFIGURED, renew=True) == []


async def test_limits_of_the_caller_are_said_as_limits(house: House) -> None:
    """Rule D10: 429, never invalid_client."""
    house.web.pages[URL] = TooManyRequests(Reason.RATE_LIMITED, retry_after=1)
    with pytest.raises(TooManyRequests):
        await house.resolve(URL)


async def test_many_stored_clients_take_bounded_memory(house: House) -> None:
    """Rule D9: the least used are asked for again."""
    names = [f"c_{number}" for number in range(MOST_STORED)]
    house.store.clients |= {name: replace(STORED, client_id=name) for name in names}
    for name in (*names, "c_0", "c_stored", "c_0"):
        await house.resolve(name)
    assert house.store.calls["find_client"] == MOST_STORED + 1
    await house.resolve("c_1")
    assert house.store.calls["find_client"] == MOST_STORED + 2
