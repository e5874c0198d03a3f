"""GitHub's REST API with a person's token: who they are, and lists in pages, each as complete as GitHub says it is.

A list is never silently short: rows that single sign-on hides, a page elsewhere, a refusal or a rate limit leave a gap with a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from providers.base import Fault, UpstreamError
from providers.github_person import Listing
from providers.http import UpstreamHttp, UpstreamResponse

_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_MAX_PAGES = 20  # of a hundred entries
_LINK = re.compile(r"<([^<>]+)>([^<>]*)")  # RFC 8288 section 3
_REL = re.compile(
    r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE
)  # words are compared outside: no backtracking
_THROTTLED = ("rate limit", "abuse detection")  # in the message of a 403 without any header of theirs
_SUSPENDED = "suspended"
_ORG_SCOPES = frozenset({"read:org", "write:org", "admin:org"})


class GitHubApi:
    """The API of one host. `base_url` has no trailing slash."""

    def __init__(self, http: UpstreamHttp, base_url: str) -> None:
        self._http = http
        self._base_url = base_url

    async def user(self, token: str) -> UpstreamResponse:
        """Return the 200 of `GET /user`; raises UpstreamError, PERMANENT `token_revoked` when the token is dead."""
        response = await self._get(f"{self._base_url}/user", token, "user")
        if response.status != HTTPStatus.OK:
            raise _no_user(response)
        return response

    async def everything(self, path: str, token: str, operation: str) -> Listing:
        """Return a list with all its pages; what keeps it from being complete is its gap."""
        entries: list[Mapping[str, Any]] = []
        url = f"{self._base_url}{path}?per_page=100"
        for _ in range(_MAX_PAGES):
            try:
                response = await self._get(url, token, operation)
            except UpstreamError as failure:
                return Listing(entries=tuple(entries), gap=failure.reason)
            page = response.json_array() if response.status == HTTPStatus.OK else None
            entries += [entry for entry in page or () if isinstance(entry, Mapping)]
            gap = _gap(response, page)
            if gap is not None:
                return Listing(entries=tuple(entries), gap=gap)
            following = _next(response)
            if following is None:
                return Listing(entries=tuple(entries))
            if not self._is_ours(following):  # the token goes to this API and nowhere else
                return Listing(entries=tuple(entries), gap="paging_elsewhere")
            url = following
        return Listing(entries=tuple(entries), gap="too_many_pages")

    async def revoke(self, client_id: str, authorization: str, token: str) -> UpstreamResponse:
        """Return the answer to giving one token back; `authorization` is the app's own (Basic)."""
        return await self._application("DELETE", client_id, authorization, token, "revoke")

    async def look_up(self, client_id: str, authorization: str, token: str) -> UpstreamResponse:
        """Return what the API says about a token of the app."""
        return await self._application("POST", client_id, authorization, token, "token_check")

    async def _application(
        self, method: str, client_id: str, authorization: str, token: str, operation: str
    ) -> UpstreamResponse:
        url = f"{self._base_url}/applications/{quote(client_id, safe='')}/token"
        headers = {**_HEADERS, "authorization": authorization}
        return await self._http.call(method, url, operation=operation, headers=headers, body={"access_token": token})

    async def _get(self, url: str, token: str, operation: str) -> UpstreamResponse:
        headers = {**_HEADERS, "authorization": f"Bearer {token}"}
        return await self._http.call("GET", url, operation=operation, headers=headers)

    def _is_ours(self, url: str) -> bool:
        """Whether a URL is of this API: same scheme, host and port, under the same path."""
        try:
            ours, theirs = urlsplit(self._base_url), urlsplit(url)
        except ValueError:
            return False
        same = (ours.scheme, ours.netloc.lower()) == (theirs.scheme, theirs.netloc.lower())
        return same and theirs.path.startswith(f"{ours.path}/")


def reads_organizations(response: UpstreamResponse) -> bool:
    """Whether the token's scopes, where the API names any, let it list organisations; GitHub Apps have none."""
    scopes = {scope.strip() for scope in response.headers.get("x-oauth-scopes", "").split(",")} - {""}
    return not scopes or bool(scopes & _ORG_SCOPES)


def is_throttled(response: UpstreamResponse) -> bool:
    """Whether a refusal is a rate limit, primary or secondary, rather than a matter of permission."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if response.status != HTTPStatus.FORBIDDEN:
        return False
    spent = response.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in response.headers
    return spent or any(words in _message(response) for words in _THROTTLED)


def _no_user(response: UpstreamResponse) -> UpstreamError:
    if is_throttled(response):
        return UpstreamError(Fault.TRANSIENT, "rate_limited")
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UpstreamError(Fault.TRANSIENT, "user_unavailable")
    if response.status == HTTPStatus.UNAUTHORIZED:
        return UpstreamError(Fault.PERMANENT, "token_revoked")
    if response.status == HTTPStatus.FORBIDDEN:
        suspended = _SUSPENDED in _message(response)
        return UpstreamError(
            Fault.PERMANENT if suspended else Fault.OPERATOR, "user_suspended" if suspended else "user_forbidden"
        )
    return UpstreamError(Fault.OPERATOR, "user_status")  # a redirect or a 404: the address is wrong


def _gap(response: UpstreamResponse, page: list[Any] | None) -> str | None:
    """Return what a page lacks, None when it is whole."""
    sso = response.headers.get("x-github-sso", "")
    reasons = (
        (is_throttled(response), "rate_limited"),
        (response.status >= HTTPStatus.INTERNAL_SERVER_ERROR, "unavailable"),
        (sso.startswith("required"), "sso_required"),
        (response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND), "forbidden"),
        (page is None or not all(isinstance(entry, Mapping) for entry in page), "malformed"),
        (bool(sso), "sso_partial_results"),  # 200, and organisations were left out
    )
    return next((reason for holds, reason in reasons if holds), None)


def _next(response: UpstreamResponse) -> str | None:
    """Return the address of the next page; a header without `last` is no reason to stop."""
    links = _LINK.findall(response.headers.get("link", ""))
    return next((url for url, params in links if "next" in _relations(params)), None)


def _relations(params: str) -> set[str]:
    return {word.lower() for quoted, plain in _REL.findall(params) for word in (quoted or plain).split()}


def _message(response: UpstreamResponse) -> str:
    """Return GitHub's own words in lower case, to tell refusals apart; they go no further."""
    return str((response.json_object() or {}).get("message", "")).lower()
