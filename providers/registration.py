"""The broker as a client of one provider: what every request there needs, and the caches that its requests share."""

from __future__ import annotations

import functools
from collections.abc import Callable

from providers import client_auth, discovery
from providers.base import Fault, ProviderSettings, UpstreamError, UpstreamTokens
from providers.client_auth import ClientAuth
from providers.discovery import Metadata
from providers.http import UpstreamHttp, UpstreamResponse
from providers.jwks import KeySource
from providers.kept import Kept
from providers.options import OFFLINE, Preset, read_options
from providers.token_request import process_token_response


class Registration:
    """What an adapter is made of: its settings over a preset, its way out, its caches. `now` returns epoch seconds.

    Makes no request when constructed. Raises ProviderSettingsError.
    """

    def __init__(self, preset: Preset, settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> None:
        self.options = read_options(preset, settings)
        self.preset = preset
        self.settings = settings
        self.http = http
        self.now = now
        self.client_auth = ClientAuth(
            settings,
            now,
            names_endpoint=preset.assertion_names_endpoint,
            rsa_algorithm=preset.rsa_algorithm,
        )
        self.group_source = preset.group_source(settings, http, now)
        self._metadata: Kept[Metadata] = Kept(
            functools.partial(discovery.fetch, http, settings, preset.metadata_issuer(settings)), now
        )
        self.keys = KeySource(http, self._jwks_uri, now)

    async def metadata(self) -> Metadata:
        """Return the provider's metadata; raises UpstreamError while there is none."""
        return await self._metadata.get()

    def scopes(self, metadata: Metadata) -> tuple[str, ...]:
        """Return the scopes to ask: those always asked, and the wanted ones that the provider offers."""
        asked = self.options.scopes
        return (*asked, *(s for s in self.options.wanted if s in metadata.scopes and s not in asked))

    def asks_consent(self, scopes: tuple[str, ...]) -> bool:
        """Whether `prompt=consent` goes along, without which some providers give no refresh token (Core section 11)."""
        return self.options.offline == "consent" and OFFLINE in scopes

    async def redeem(self, metadata: Metadata, fields: dict[str, str]) -> UpstreamTokens:
        """Return the tokens for a code; raises UpstreamError."""
        return self._tokens(await self.post(metadata.token_endpoint, metadata, fields, operation="token"))

    async def renew(self, metadata: Metadata, fields: dict[str, str], *, within: float) -> UpstreamTokens:
        """Return the tokens for a refresh token, within so many seconds; raises UpstreamError, `answer_lost` among them."""
        credentials = await self._credentials(metadata.token_endpoint, metadata)
        response = await self.http.spend_form(
            metadata.token_endpoint,
            {**fields, **credentials.fields},
            operation="refresh",
            authorization=credentials.authorization,
            within=within,
        )
        try:
            return self._tokens(response)
        except UpstreamError as refusal:
            if refusal.reason != self.preset.dead_refresh:
                raise
        raise UpstreamError(Fault.PERMANENT, "invalid_grant")

    async def post(
        self, endpoint: str, metadata: Metadata, fields: dict[str, str], *, operation: str
    ) -> UpstreamResponse:
        """Return the answer to a form that carries our credentials; raises UpstreamError when there is none."""
        credentials = await self._credentials(endpoint, metadata)
        return await self.http.post_form(
            endpoint,
            {**fields, **credentials.fields},
            operation=operation,
            authorization=credentials.authorization,
        )

    async def _credentials(self, endpoint: str, metadata: Metadata) -> client_auth.Credentials:
        return await self.client_auth.credentials(endpoint, metadata.auth_methods)

    def _tokens(self, response: UpstreamResponse) -> UpstreamTokens:
        return process_token_response(response, self.preset.token_error)

    async def _jwks_uri(self) -> str:
        return (await self.metadata()).jwks_uri
