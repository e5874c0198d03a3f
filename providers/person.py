"""From verified claims to an identity: what UserInfo and a directory add, who is kept out, what stays as it was at the sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from providers import claims as read
from providers import id_token, userinfo
from providers.base import Fault, Groups, UpstreamError, UpstreamIdentity, UpstreamTokens
from providers.claims import VerifiedClaims
from providers.discovery import Metadata
from providers.http import document
from providers.registration import Registration

REFUSED = "userinfo_refused"


@dataclass(frozen=True, slots=True)
class Told:
    """What the provider says of a person, best source first; `absent` says why a claim may be missing."""

    sources: tuple[VerifiedClaims, ...] = field(repr=False)
    absent: str = "claim_absent"


async def ask(
    registration: Registration, metadata: Metadata, access_token: str, claims: VerifiedClaims | None, subject: str
) -> Told:
    """Return what the ID token's claims (None: there is no new one) and, if it is wanted, UserInfo say of `subject`.

    Raises UpstreamError, among them `userinfo_subject` (rule B6).
    """
    sources = () if claims is None else (claims,)
    options = registration.options
    if not userinfo.is_wanted(options.userinfo, claims, options.groups, options.scopes):
        return Told(sources)
    if metadata.userinfo_endpoint is None:
        if options.userinfo == "always":
            raise UpstreamError(Fault.OPERATOR, "userinfo_absent")
        return Told(sources)
    found = await _ask_userinfo(registration, metadata.userinfo_endpoint, access_token, subject)
    if found is None and options.userinfo == "always" and claims is not None:
        raise UpstreamError(Fault.OPERATOR, REFUSED)
    return Told(sources, REFUSED) if found is None else Told((*sources, found))


async def describe(
    registration: Registration, told: Told, claims: VerifiedClaims, tokens: UpstreamTokens
) -> UpstreamIdentity:
    """Return who has signed in just now; raises UpstreamError for somebody whom the settings keep out."""
    preset, settings = registration.preset, registration.settings
    preset.admit(told.sources, settings)
    issuer, subject = preset.identity(claims, settings)
    email = preset.email(told.sources)
    return UpstreamIdentity(
        issuer=issuer,
        subject=subject,
        auth_time=id_token.auth_time(claims),
        auth_time_stated=bool(claims.values.get("auth_time")),
        groups=await groups(registration, told, tokens.access_token),
        acr=read.acr(claims),
        amr=read.amr(claims),
        email=email.address if email else None,
        email_verified=email.verified if email else False,
        name=read.display_name(told.sources),
        attributes=attributes(registration, told.sources),
        sid=read.sid(claims),
        tokens=tokens,
    )


async def groups(registration: Registration, told: Told, access_token: str) -> Groups:
    """Return the groups: from the directory where there is one, else from the claim. The directory has half of the time limit."""
    if registration.group_source is not None:
        try:
            async with asyncio.timeout(registration.settings.timeout / 2):
                return await registration.group_source.groups(told.sources, access_token)
        except TimeoutError:
            return Groups.unknown("groups_unavailable")
    if registration.options.groups is None:
        return Groups.unknown("not_configured")
    return read.groups(told.sources, registration.options.groups, absent=told.absent)


def attributes(registration: Registration, sources: Sequence[VerifiedClaims]) -> dict[str, tuple[str, ...]]:
    """Return what a policy may ask beyond groups; what is not there is unknown."""
    roles = read.roles(sources, registration.options.roles)
    return {**registration.preset.attributes(sources), **({} if roles is None else {"role": roles})}


async def _ask_userinfo(
    registration: Registration, endpoint: str, access_token: str, subject: str
) -> VerifiedClaims | None:
    """Return what UserInfo says of the person; None when it is closed to us."""
    settings = registration.settings
    response = await registration.http.get_json(
        endpoint, operation="userinfo", authorization=f"Bearer {access_token}", accept=userinfo.ACCEPT
    )
    if userinfo.is_refused(response):
        return None
    if userinfo.is_signed(response):
        signed = await registration.keys.verify(userinfo.parse_signed(response))
        issuer = registration.preset.issuer(signed, settings)
        values = userinfo.check_signed(signed, issuer, settings.client_id, registration.now())
    else:
        values = document(response, "userinfo")
    return userinfo.check_subject(values, subject)
