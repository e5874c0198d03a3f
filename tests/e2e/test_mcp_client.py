"""The MCP Python SDK's client signs in and calls tools of a protected MCP server; it registers in each way there is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from mcp import Client
from mcp.shared.auth import OAuthClientInformationFull
from mcp_types import TextContent
from pydantic import AnyUrl

from tests.e2e.app import REDIRECT_URI
from tests.e2e.broker_process import Broker, public_client, resource, running_broker
from tests.e2e.browserless import Browserless
from tests.e2e.client_document import ClientSite, running_client_site
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import Process, answers, free_port
from tests.e2e.sdk import Keychain, Person, connected, provider
from tests.e2e.witness import Witness

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Estate:
    """A broker and two MCP servers: `notes` behind the middleware, `board` behind the SDK's own protection."""

    idp: IdentityProvider
    broker: Broker
    witness: Witness
    site: ClientSite
    notes: str
    board: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientSite]:
    metadata = {"client_name": "Published app", "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none"}
    with running_client_site(tmp_path_factory.mktemp("site"), **metadata) as site:
        yield site


@pytest.fixture(scope="module", params=["", "/oauth"], ids=["root issuer", "path issuer"])
def estate(
    request: pytest.FixtureRequest,
    oidc_provider: IdentityProvider,
    site: ClientSite,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Estate]:
    folder = tmp_path_factory.mktemp("estate")
    ports = {"middleware": free_port(), "verifier": free_port()}
    notes, board = (f"http://127.0.0.1:{port}/mcp" for port in ports.values())
    environment = {
        **oidc_provider.environment(),
        **site.environment(),
        **resource("notes", notes, "Notes"),
        **resource("board", board, "Board"),
        **public_client("notebook", REDIRECT_URI, "Notebook"),
    }
    servers: list[Process] = []
    with running_broker(folder, environment, path=request.param) as (broker, witness):
        try:
            for kind, port in ports.items():
                command = [sys.executable, "-m", "tests.e2e.notes_server", kind, broker.issuer, str(port)]
                there = {**os.environ, "PYTHONPATH": str(ROOT)}
                servers.append(Process(command, folder / f"{kind}.log", environment=there))
                metadata = f"http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp"
                servers[-1].wait_until(partial(answers, metadata), within=60)
            yield Estate(oidc_provider, broker, witness, site, notes, board)
        finally:
            for server in servers:
                server.stop()


@pytest.fixture
def person(estate: Estate) -> Iterator[Person]:
    with Browserless(estate.witness, leave_at=REDIRECT_URI) as browser:
        yield Person(browser, estate.idp)


@pytest.fixture
def keychain(estate: Estate) -> Keychain:
    return Keychain(estate.witness)


async def call(client: Client, tool: str, **arguments: str) -> str:
    """Call a tool and return its text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def preregistered() -> OAuthClientInformationFull:
    """The record of a client that an administrator added."""
    return OAuthClientInformationFull(
        client_id="notebook", redirect_uris=[AnyUrl(REDIRECT_URI)], token_endpoint_auth_method="none"
    )


async def test_a_preregistered_client_signs_in_and_calls_a_tool(estate: Estate, person: Person, keychain: Keychain):
    """Issue of a token to a client known by configuration; specification 2026-07-28, client registration."""
    keychain.client = preregistered()
    async with connected(estate.notes, provider(estate.notes, person, keychain)) as client:
        answer = await call(client, "read_notes")
    assert answer.startswith("the notes of u_")
    assert answer.endswith("for notebook")
    assert keychain.tokens[-1].scope == "notes:read"
    assert person.answer["iss"] == estate.broker.issuer


async def test_a_client_that_publishes_its_metadata_needs_no_registration(
    estate: Estate, person: Person, keychain: Keychain
):
    """Client ID Metadata Documents; rules A12, D3, D7: the page shows the document's host as verified."""
    document, registered = estate.site.client_id, len(estate.broker.events("client.registered"))
    async with connected(estate.notes, provider(estate.notes, person, keychain, document=document)) as client:
        answer = await call(client, "read_notes")
    assert answer.endswith(f"for {document}")
    assert estate.site.fetches >= 1
    [page] = person.consents
    assert "Published app" in page.text
    assert "localhost" in page.text
    assert len(estate.broker.events("client.registered")) == registered
    assert keychain.client is not None
    assert keychain.client.client_id == document


async def test_a_client_that_registers_itself_is_shown_as_unverified(
    estate: Estate, person: Person, keychain: Keychain
):
    """RFC 7591; rules A12, D14: it works, and the person is told that anyone can choose a name."""
    async with connected(estate.notes, provider(estate.notes, person, keychain)) as client:
        answer = await call(client, "read_notes")
    assert keychain.client is not None
    assert answer.endswith(f"for {keychain.client.client_id}")
    assert keychain.client.issuer == estate.broker.issuer
    [page] = person.consents
    assert "unverified" in page.text


async def test_an_expired_access_token_is_refreshed_without_the_person(
    estate: Estate, person: Person, keychain: Keychain
):
    """Rule E6, as the SDK's client does it: one refresh, a rotated token, no page."""
    keychain.client = preregistered()
    auth = provider(estate.notes, person, keychain)
    async with connected(estate.notes, auth) as client:
        before = await call(client, "read_notes")
        auth.context.token_expiry_time = 1  # the client's clock says that it is over
        assert await call(client, "read_notes") == before
    first, second = keychain.tokens
    assert second.refresh_token != first.refresh_token
    assert second.scope == first.scope
    assert len(person.consents) == 1


async def test_a_tool_that_needs_more_leads_to_a_step_up_without_a_second_sign_in(
    estate: Estate, person: Person, keychain: Keychain
):
    """SEP-2350: 403 with the scope, the union is asked for, the person sees what is new, and the call goes through."""
    keychain.client = preregistered()
    async with connected(estate.notes, provider(estate.notes, person, keychain)) as client:
        await call(client, "read_notes")
        upstream = len(person.browser.visited(estate.idp.issuer))
        assert await call(client, "write_note", text="milk") == "written: milk"
        await call(client, "read_notes")
    assert [set((tokens.scope or "").split()) for tokens in keychain.tokens] == [
        {"notes:read"},
        {"notes:read", "notes:write"},
    ]
    assert "Change your notes" not in person.consents[0].text
    assert "Change your notes" in person.consents[1].text
    assert len(person.browser.visited(estate.idp.issuer)) == upstream


async def test_the_sdks_own_protection_accepts_our_tokens_and_a_second_server_needs_no_sign_in(
    estate: Estate, person: Person, keychain: Keychain
):
    """Rules F1, A4: each MCP server has its own token; the session skips the provider, never the page."""
    keychain.client = preregistered()
    async with connected(estate.notes, provider(estate.notes, person, keychain)) as client:
        await call(client, "read_notes")
    upstream = len(person.browser.visited(estate.idp.issuer))
    other = Keychain(estate.witness, preregistered())
    async with connected(estate.board, provider(estate.board, person, other)) as client:
        assert (await call(client, "read_notes")).startswith("the notes of u_")
    assert len(person.consents) == 2
    assert len(person.browser.visited(estate.idp.issuer)) == upstream
