"""The MCP Python SDK's own client, with a person behind it who signs in without a browser window."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from anyio import to_thread
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.e2e.app import REDIRECT_URI
from tests.e2e.browserless import Browserless, Page
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.witness import Witness


@dataclass
class Keychain:
    """What the client keeps between its starts."""

    witness: Witness
    client: OAuthClientInformationFull | None = None
    tokens: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        """The latest."""
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep every one."""
        self.tokens.append(tokens)
        self.witness.keep("access token", tokens.access_token)
        self.witness.keep("refresh token", tokens.refresh_token)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """What an administrator or the broker told the client."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep it."""
        self.client = client_info
        self.witness.keep("registered client secret", client_info.client_secret)


@dataclass
class Person:
    """Somebody who allows everything and signs in when asked; `consents` are the pages they saw."""

    browser: Browserless
    idp: IdentityProvider
    name: str = "alice"
    consents: list[Page] = field(default_factory=list)
    answer: dict[str, str] = field(default_factory=dict)

    async def redirected(self, url: str) -> None:
        """The client opens a browser at `url`."""
        await to_thread.run_sync(self._go, url)

    def _go(self, url: str) -> None:
        page = self.browser.open(url)
        assert page.status == 200, page.text
        self.consents.append(page)
        if page.form.offers("decision", "allow"):
            page = self.browser.submit(page, page.form, ("decision", "allow"))
        else:
            page = self.browser.submit(page, page.form, ("provider", self.idp.type))
        if page.url.startswith(self.idp.issuer):
            page = self.idp.sign_in(self.browser, page, self.name)
        assert page.left, (page.status, page.url, page.text)
        self.answer = page.params

    async def called_back(self) -> AuthorizationCodeResult:
        """The client's redirect URI was opened."""
        return AuthorizationCodeResult.model_validate(self.answer)


def provider(server: str, person: Person, keychain: Keychain, *, document: str | None = None) -> OAuthClientProvider:
    """The SDK's OAuth client for one MCP server."""
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT_URI)], client_name="SDK client")
    return OAuthClientProvider(
        server, metadata, keychain, person.redirected, person.called_back, client_metadata_url=document
    )


@asynccontextmanager
async def connected(server: str, auth: OAuthClientProvider) -> AsyncIterator[Client]:
    """A session with the MCP server; signs in on the way when it has to."""
    async with (
        httpx2.AsyncClient(auth=auth, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(server, http_client=http)) as client,
    ):
        yield client
