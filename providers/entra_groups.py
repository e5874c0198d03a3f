"""Groups of a person in Entra: those in the ID token where it holds them all, else those that Graph lists for the person's own token.

Where the token has too many to hold, it names an address to ask. That address is never looked at: ours is built from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from providers import claims as read
from providers.base import Check, Groups, ProviderSettings, UpstreamError, Verdict
from providers.claims import VerifiedClaims, parse_path
from providers.entra_settings import graph_url, is_guid, scopes
from providers.http import UpstreamHttp, UpstreamResponse, deadline

_MAX_PAGES = 20
_TOO_MANY = "Directory_ResultSizeLimitExceeded"  # Graph lists no more than 11,000
_GROUPS = ("groups",)
_WORDS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "graph_unauthorized",  # the token is for something else: SCOPES
    HTTPStatus.FORBIDDEN: "graph_forbidden",  # User.Read is missing
    HTTPStatus.TOO_MANY_REQUESTS: "graph_throttled",
}


class GraphGroups:
    """The groups of a person, by claim or by Graph. A claim that GROUPS_CLAIM names is the only place that is looked at."""

    def __init__(self, settings: ProviderSettings, http: UpstreamHttp) -> None:
        self._settings = settings
        self._http = http
        self._graph = graph_url(settings.options)
        own = settings.options.get("groups_claim")
        self._own_claim = parse_path(own) if own else None

    async def groups(self, sources: Sequence[VerifiedClaims], access_token: str) -> Groups:
        """Return the groups, unknown with a reason on any failure."""
        if self._own_claim is not None:
            return Groups.unknown("overage") if _overflows(sources) else read.groups(sources, self._own_claim)
        stated = read.groups(sources, _GROUPS)
        if stated.reason == "claim_absent" or _overflows(sources):
            return await self._listed(access_token)
        return stated

    async def check(self) -> tuple[Check, ...]:
        """Return whether Graph can be asked, as far as that shows without a person: its permission is the person's."""
        asked = self._settings.scopes
        needed = scopes(self._settings.options)[-1]
        if asked is not None and needed not in asked and self._own_claim is None:
            detail = f"SCOPES lack {needed}: without groups in the token they are unknown"
            fix = f"leave SCOPES out or add {needed}: App registrations > (the app) > API permissions > Microsoft Graph"
            return (Check(name="groups", status=Verdict.WARN, detail=detail, fix=fix),)
        try:
            async with deadline(self._settings.timeout):
                answer = await self._http.get_json(f"{self._graph}/v1.0/me", operation="graph_check")
        except UpstreamError as failure:
            return (self._no_graph(failure.reason),)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return (self._no_graph(f"answers {answer.status} to nobody"),)
        return (Check(name="groups", status=Verdict.OK, detail=f"{self._graph} answers; {needed} lets it list them"),)

    def _no_graph(self, why: str) -> Check:
        fix = "look at GRAPH_URL (it belongs to the cloud of AUTHORITY), PROXY, and whether this machine may connect there"
        return Check(name="groups", status=Verdict.FAIL, detail=f"{self._graph}: {why}", fix=fix)

    async def _listed(self, access_token: str) -> Groups:
        """Ask Graph for the ids of all security groups, those through other groups too, to the last page."""
        headers = {"accept": "application/json", "authorization": f"Bearer {access_token}"}
        method, url = "POST", f"{self._graph}/v1.0/me/getMemberObjects"
        body: Mapping[str, Any] | None = {"securityEnabledOnly": True}
        ids: list[str] = []
        for _ in range(_MAX_PAGES):
            try:
                answer = await self._http.call(method, url, operation="groups", headers=headers, body=body)
            except UpstreamError as failure:
                return Groups.unknown(failure.reason)
            page = answer.json_object() or {}
            found, following = page.get("value"), page.get("@odata.nextLink")
            if answer.status != HTTPStatus.OK:
                return Groups.unknown(_why(answer, page))
            if not isinstance(found, list) or not all(is_guid(value) for value in found):
                return Groups.unknown("graph_malformed")
            ids += found
            if following is None:
                return Groups.known(tuple(dict.fromkeys(ids)))
            if not self._is_ours(following):  # the token goes to this Graph and nowhere else
                return Groups.unknown("paging_elsewhere")
            method, url, body = "GET", following, None
        return Groups.unknown("too_many_pages")

    def _is_ours(self, url: object) -> bool:
        """Whether a URL is of this Graph: same scheme, host and port."""
        try:
            ours, theirs = urlsplit(self._graph), urlsplit(url if isinstance(url, str) else "")
        except ValueError:
            return False
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc) and theirs.path.startswith(
            f"{ours.path}/v1.0/"
        )


def _overflows(sources: Sequence[VerifiedClaims]) -> bool:
    """Whether the token says that its groups are elsewhere."""
    names = [claims.values.get("_claim_names") for claims in sources]
    distributed = any(isinstance(value, Mapping) and "groups" in value for value in names)
    return distributed or any(claims.values.get("hasgroups") not in (None, False) for claims in sources)


def _why(answer: UpstreamResponse, page: Mapping[str, Any]) -> str:
    error = page.get("error")
    if isinstance(error, Mapping) and error.get("code") == _TOO_MANY:
        return "too_many_groups"
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "graph_unavailable"
    return _WORDS.get(answer.status, "graph_refused")
