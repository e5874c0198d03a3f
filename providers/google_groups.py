"""Google groups, read by a service account (RFC 7523 section 2.1): nothing in a person's tokens names them.

With ADMIN_SUBJECT the account acts for that administrator (domain-wide delegation) and asks the Directory API for the groups that the
person is in directly. Without, it acts for itself (role Groups Reader) and asks Cloud Identity for groups within groups too, which
needs an edition of Workspace that has it. A group is named by its address. Whatever fails leaves the groups unknown, with a word why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from providers.base import Check, Fault, Groups, ProviderSettings, ProviderSettingsError, UpstreamError, Verdict
from providers.claims import VerifiedClaims, is_address, is_word
from providers.http import UpstreamHttp, UpstreamResponse
from providers.private_key import AssertionKey, Unusable, load_key
from providers.strict import Malformed, json_object
from providers.token_request import process_token_response
from providers.urls import is_endpoint

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LABEL = "cloudidentity.googleapis.com/groups.discussion_forum"
_ASSERTION_LIFE = 3600  # seconds
_EARLY = 60  # seconds before its end that a token is no longer used
_MAX_PAGES = 20
_MAX_FILE = 64 * 1024  # bytes
_REACH = "look at PROXY, and enable the API: Google Cloud console > APIs & Services (Admin SDK, or Cloud Identity without ADMIN_SUBJECT)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One of Google's two ways to ask. `claim` names the person there, `entries` and `address` find the groups on a page."""

    url: str
    scope: str
    claim: str
    query: Callable[[str], Mapping[str, str]]
    entries: str
    address: Callable[[Mapping[str, Any]], Any]
    reach: str
    permission: str


def _in_cloud_identity(address: str) -> Mapping[str, str]:
    quoted = address.replace("\\", "\\\\").replace("'", "\\'")  # CEL: nothing in an address ends the text
    return {"query": f"member_key_id == '{quoted}' && '{_LABEL}' in labels", "pageSize": "1000"}


def _group_key(membership: Mapping[str, Any]) -> Any:
    keys = membership.get("groupKey")
    if isinstance(keys, list):  # as the reference writes it in places
        keys = keys[0] if keys else None
    return keys.get("id") if isinstance(keys, dict) else None


DIRECTORY = Api(
    url="https://admin.googleapis.com/admin/directory/v1/groups",
    scope="https://www.googleapis.com/auth/admin.directory.group.readonly",
    claim="sub",
    query=lambda person: {"userKey": person, "maxResults": "200", "fields": "nextPageToken,groups(email)"},
    entries="groups",
    address=lambda group: group.get("email"),
    reach="the groups that a person is in directly",
    permission="Google Admin console > Security > API controls > Domain-wide delegation: the service account's client id with "
    "https://www.googleapis.com/auth/admin.directory.group.readonly; ADMIN_SUBJECT may read groups",
)
CLOUD_IDENTITY = Api(
    url="https://cloudidentity.googleapis.com/v1/groups/-/memberships:searchTransitiveGroups",
    scope="https://www.googleapis.com/auth/cloud-identity.groups.readonly",
    claim="email",
    query=_in_cloud_identity,
    entries="memberships",
    address=_group_key,
    reach="the groups that a person is in, directly or through other groups",
    permission="Google Admin console > Account > Admin roles > Groups Reader > Assign service accounts; an edition without nested "
    "groups needs ADMIN_SUBJECT instead",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """What a key file holds."""

    email: str
    token_uri: str
    key: AssertionKey = field(repr=False)


def is_usable(settings: ProviderSettings) -> bool:
    """Whether the key file, if one is configured, can be read."""
    path = settings.options.get("service_account_file")
    return not path or _read(path, loopback=settings.loopback) is not None


def source(settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> GoogleGroups:
    """Return the directory of a configured service account; raises ProviderSettingsError."""
    account = _read(settings.options["service_account_file"], loopback=settings.loopback)
    if account is None:
        raise ProviderSettingsError(f"provider {settings.id}: SERVICE_ACCOUNT_FILE cannot be used")
    return GoogleGroups(account, settings.options.get("admin_subject") or None, http, now)


class GoogleGroups:
    """The directory of one Workspace. `admin_subject` is the administrator that the service account acts for, if any."""

    def __init__(
        self, account: ServiceAccount, admin_subject: str | None, http: UpstreamHttp, now: Callable[[], int]
    ) -> None:
        self._account = account
        self._admin_subject = admin_subject
        self._api = DIRECTORY if admin_subject else CLOUD_IDENTITY
        self._http = http
        self._now = now
        self._lock = asyncio.Lock()
        self._token = ("", 0)  # the access token, and when it ends

    async def groups(self, sources: Sequence[VerifiedClaims], _access_token: str) -> Groups:
        """Return the groups of the person that verified claims are about; who belongs to no Workspace is in none that we can ask."""
        if not any(isinstance(claims.values.get("hd"), str) for claims in sources):
            return Groups.unknown("account_outside_workspace")
        member = next((value for claims in sources if (value := claims.values.get(self._api.claim)) is not None), None)
        if not is_word(member):
            return Groups.unknown("claim_absent")
        try:
            return Groups.known(await self._search(member))
        except UpstreamError as failure:
            return Groups.unknown(failure.reason)

    async def check(self) -> tuple[Check, ...]:
        """Return whether the service account may read groups, asked about the administrator or the account itself."""
        try:
            await self._search(self._admin_subject or self._account.email)
        except UpstreamError as failure:
            fix = self._api.permission if failure.fault is Fault.OPERATOR else _REACH
            detail = f"{self._account.email} cannot read groups ({failure.reason})"
            return (Check(name="groups", status=Verdict.FAIL, detail=detail, fix=fix),)
        return (Check(name="groups", status=Verdict.OK, detail=f"{self._account.email} reads {self._api.reach}"),)

    async def _search(self, member: str) -> tuple[str, ...]:
        """Return the groups on every page; raises UpstreamError."""
        found: list[str] = []
        page: str | None = None
        for _ in range(_MAX_PAGES):
            query = {**self._api.query(member), **({"pageToken": page} if page else {})}
            token = await self._access_token()
            url = f"{self._api.url}?{urlencode(query)}"
            answer = _answer(await self._http.get_json(url, operation="groups", authorization=f"Bearer {token}"))
            found.extend(_addresses(answer, self._api))
            page = answer.get("nextPageToken")
            if not page:
                return tuple(dict.fromkeys(found))
            if not is_word(page):
                raise UpstreamError(Fault.PROTOCOL, "groups_malformed")
        raise UpstreamError(Fault.PROTOCOL, "too_many_pages")

    async def _access_token(self) -> str:
        """Return the service account's access token, kept until shortly before its end; one request at a time gets a new one."""
        async with self._lock:
            token, ends = self._token
            if not 0 < ends - _EARLY - self._now() <= _ASSERTION_LIFE:
                token, ends = await self._new_token()
                self._token = (token, ends)
            return token

    async def _new_token(self) -> tuple[str, int]:
        now, account = self._now(), self._account
        claims = {
            "iss": account.email,
            "scope": self._api.scope,
            "aud": account.token_uri,
            "iat": now,
            "exp": now + _ASSERTION_LIFE,
            **({"sub": self._admin_subject} if self._admin_subject else {}),
        }
        fields = {"grant_type": GRANT_TYPE, "assertion": await asyncio.to_thread(account.key.sign, claims)}
        try:
            tokens = process_token_response(
                await self._http.post_form(account.token_uri, fields, operation="groups_token")
            )
        except UpstreamError as failure:
            if failure.fault is Fault.TRANSIENT:
                raise UpstreamError(Fault.TRANSIENT, "groups_unavailable") from None
            raise UpstreamError(Fault.OPERATOR, "groups_refused") from None
        return tokens.access_token, now + (tokens.expires_in or 0)


def _read(path: str, *, loopback: bool) -> ServiceAccount | None:
    """Return what the key file holds; None when it is none."""
    try:
        with Path(path).open("rb") as file:
            found = json_object(file.read(_MAX_FILE))
        email, token_uri, pem = (found.get(name) for name in ("client_email", "token_uri", "private_key"))
        key_id = found.get("private_key_id")
        if not is_address(email) or not is_endpoint(token_uri, loopback=loopback) or not isinstance(pem, str):
            return None
        key = load_key(pem if "-----BEGIN" in pem else "", None, key_id if is_word(key_id) else None)
    except (OSError, ValueError, Malformed, Unusable):
        return None
    return ServiceAccount(email=email, token_uri=token_uri, key=key)


def _answer(response: UpstreamResponse) -> Mapping[str, Any]:
    """Return the page; a directory that hides something from us says so by its status."""
    if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
        throttled = b"rateLimitExceeded" in response.body or b"quotaExceeded" in response.body
        fault, word = (Fault.TRANSIENT, "unavailable") if throttled else (Fault.OPERATOR, "refused")
        raise UpstreamError(fault, f"groups_{word}")
    if response.status != HTTPStatus.OK:
        raise UpstreamError(Fault.TRANSIENT, "groups_unavailable")
    found = response.json_object()
    if found is None:
        raise UpstreamError(Fault.PROTOCOL, "groups_malformed")
    return found


def _addresses(answer: Mapping[str, Any], api: Api) -> list[str]:
    """Return the addresses on a page; an entry without one spoils it, since a group would be missing."""
    entries = answer.get(api.entries, [])  # left out where there is none
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UpstreamError(Fault.PROTOCOL, "groups_malformed")
    names = [address for entry in entries if is_word(address := api.address(entry))]
    if len(names) != len(entries):
        raise UpstreamError(Fault.PROTOCOL, "groups_malformed")
    return names
