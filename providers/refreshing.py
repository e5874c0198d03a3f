"""The person again, without the person (Core sections 12 and 5.3; security rules B14, B16): by refresh token, else by access token.

A sign-in's time, context and methods stay what they were: a refresh proves that the account lives, not that somebody sat there.
Once the provider answered with new tokens, every failure carries them, since the old ones may be dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from providers import claims as read
from providers import id_token, person, token_request
from providers.base import Fault, UpstreamError, UpstreamIdentity, UpstreamTokens
from providers.claims import VerifiedClaims
from providers.discovery import Metadata
from providers.http import Budget, deadline
from providers.person import Told
from providers.registration import Registration
from providers.signed_token import parse, read_unverified


async def refresh(registration: Registration, tokens: UpstreamTokens, known: UpstreamIdentity) -> UpstreamIdentity:
    """Return the person as the provider knows them now; raises UpstreamError as `RefreshesIdentity.refresh` says."""
    budget = Budget(registration.settings.timeout)
    try:
        async with deadline(budget.left):
            metadata = await registration.metadata()
        if tokens.refresh_token is None:
            async with deadline(budget.left):
                return await _ask_again(registration, metadata, tokens, known)
        scopes = registration.scopes(metadata) if registration.preset.renewal_names_scopes else ()
        fields = token_request.renewal(tokens.refresh_token, scopes)
        given = await registration.renew(metadata, fields, within=budget.left)
    except UpstreamError as error:
        raise _without_person(error) from None
    renewed = UpstreamTokens(
        access_token=given.access_token,
        refresh_token=given.refresh_token or tokens.refresh_token,  # no new one: the old one stays, RFC 6749 section 6
        id_token=given.id_token or tokens.id_token,
        expires_in=given.expires_in,
    )
    try:
        async with deadline(budget.left):
            claims = await _restated(registration, metadata, given, tokens, known)
            told = await person.ask(registration, metadata, given.access_token, claims, known.subject)
            return await _updated(registration, told, renewed, known)
    except UpstreamError as error:
        raise _without_person(error, renewed) from None


async def _ask_again(
    registration: Registration, metadata: Metadata, tokens: UpstreamTokens, known: UpstreamIdentity
) -> UpstreamIdentity:
    """Ask UserInfo with the access token of the sign-in, as long as that lives."""
    if metadata.userinfo_endpoint is None or registration.options.userinfo == "never":
        raise UpstreamError(Fault.INTERACTION, "no_refresh_token")
    told = await person.ask(registration, metadata, tokens.access_token, None, known.subject)
    if not told.sources:
        raise UpstreamError(Fault.INTERACTION, "no_refresh_token")
    return await _updated(registration, told, tokens, known)


async def _restated(
    registration: Registration,
    metadata: Metadata,
    given: UpstreamTokens,
    before: UpstreamTokens,
    known: UpstreamIdentity,
) -> VerifiedClaims | None:
    """Return the claims of the new ID token, None without one (Core section 12.2)."""
    if given.id_token is None:
        return None
    settings, preset = registration.settings, registration.preset
    signed = await registration.keys.verify(parse(given.id_token, metadata.algorithms))
    expected = id_token.Expected(
        issuer=preset.issuer(signed, settings),
        client_id=settings.client_id,
        nonce=_claims_before(before).get("nonce"),
        access_token=given.access_token,
    )
    claims = id_token.check_refreshed(signed, expected, registration.now())
    if preset.identity(claims, settings) != (known.issuer, known.subject):
        raise UpstreamError(Fault.PERMANENT, "subject_changed")
    return claims


def _claims_before(tokens: UpstreamTokens) -> Mapping[str, Any]:
    """Return the claims of the ID token that we kept; it was verified when it came, and sealed since."""
    return read_unverified(tokens.id_token) if tokens.id_token else {}


async def _updated(
    registration: Registration, told: Told, tokens: UpstreamTokens, known: UpstreamIdentity
) -> UpstreamIdentity:
    """Return `known` with what the provider says anew; what it does not restate stays, except groups, roles and the like.

    Raises UpstreamError INTERACTION when it gives tokens and then says of nobody whose they are: so a leaver would stay.
    """
    if not told.sources and told.absent == person.REFUSED:
        raise UpstreamError(Fault.INTERACTION, person.REFUSED)
    if told.sources:
        registration.preset.admit(told.sources, registration.settings)
    email = registration.preset.email(told.sources)
    unasked = not told.sources or told.absent == person.REFUSED  # else an address that is not named is gone
    return replace(
        known,
        groups=await person.groups(registration, told, tokens.access_token),
        email=email.address if email else known.email if unasked else None,
        email_verified=email.verified if email else known.email_verified and unasked,
        name=read.display_name(told.sources) or known.name,
        attributes=person.attributes(registration, told.sources),
        sid=next((sid for claims in told.sources if (sid := read.sid(claims)) is not None), known.sid),
        tokens=tokens,
    )


def _without_person(error: UpstreamError, tokens: UpstreamTokens | None = None) -> UpstreamError:
    """Return the error as it counts when nobody sits at the browser; with `tokens`, they are what to keep."""
    if error.reason == "userinfo_subject":
        return UpstreamError(Fault.PERMANENT, "subject_changed", tokens=tokens)
    fault = Fault.PERMANENT if error.fault is Fault.DENIED else error.fault  # a rule there says no, not the person
    return UpstreamError(fault, error.reason, tokens=tokens)
