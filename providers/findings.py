"""What a discovery document tells an administrator: findings with their mends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from providers.base import Check, UpstreamError, Verdict
from providers.claims import printable
from providers.registration import Registration
from providers.signed_token import ALGORITHMS

OK: Final = Verdict.OK
REST = "the rest"
_GOOD_CLOCK, _BAD_CLOCK = 5, 60  # seconds apart; id tokens are allowed 60


def fail(name: str, detail: str, fix: str) -> Check:
    """Return a finding that keeps people from signing in, or makes it unsafe."""
    return Check(name=name, status=Verdict.FAIL, detail=detail, fix=fix)


def warn(name: str, detail: str, fix: str) -> Check:
    """Return a finding that an administrator should know."""
    return Check(name=name, status=Verdict.WARN, detail=detail, fix=fix)


def not_looked_at(names: tuple[str, ...]) -> Check:
    """Return the one finding for all that could not be looked at without a good discovery document."""
    words = f"not looked at, since the discovery document comes first: {', '.join(names)}"
    return warn(REST, words, "mend the checks above, then look again")


def clock(date: str | None, now: int) -> Check:
    """Compare the provider's clock, in its `Date` header, with ours (epoch seconds)."""
    try:
        theirs = parsedate_to_datetime(date or "")
        apart = now - int((theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return warn("clock", "the provider sends no date to compare with", "look at this machine's NTP service")
    whose = f"this machine's clock is {abs(apart)} s {'ahead of' if apart > 0 else 'behind'} the provider's"
    mend = "set both clocks by NTP (timedatectl set-ntp true)"
    if abs(apart) > _BAD_CLOCK:
        return fail("clock", f"{whose}: its tokens look expired or not yet valid", mend)
    if abs(apart) > _GOOD_CLOCK:
        return warn("clock", whose, mend)
    return Check(name="clock", status=OK, detail="within 5 s of the provider's")


def metadata_checks(
    registration: Registration, found: Mapping[str, Any], fault: UpstreamError | None
) -> tuple[Check, ...]:
    """Return the checks of the document itself: all four when it is good, else the one that its `fault` is about."""
    if fault is None:
        return _issuer(registration, found), _algorithms(found), _pkce(registration, found), _iss(registration, found)
    if fault.reason == "discovery_issuer":
        return (_issuer(registration, found),)
    if fault.reason == "discovery_algorithms":
        return _issuer(registration, found), _algorithms(found)
    mend = (
        "every endpoint must be https; look at how the provider is told its public URL (its hostname or proxy settings)"
    )
    return _issuer(registration, found), fail("endpoints", f"one of them is missing or unsafe ({fault.reason})", mend)


def _issuer(registration: Registration, found: Mapping[str, Any]) -> Check:
    ours = registration.preset.metadata_issuer(registration.settings)
    theirs = printable(found.get("issuer"))
    if found.get("issuer") == ours:
        return Check(name="issuer", status=OK, detail=f"{ours}, exactly")
    console = registration.preset.console
    mend = "set ISSUER to it if that is your provider, slash for slash; " if console.takes_issuer else ""
    expected = f"ISSUER is {ours}" if console.takes_issuer else f"it must be {ours}"
    return fail("issuer", f"the document says {theirs or 'nothing'}, and {expected}", mend + console.issuer)


def _algorithms(found: Mapping[str, Any]) -> Check:
    listed = found.get("id_token_signing_alg_values_supported")
    common = sorted(ALGORITHMS & {a for a in listed if isinstance(a, str)}) if isinstance(listed, list) else ["RS256"]
    if common:
        return Check(name="algorithms", status=OK, detail=", ".join(common))
    return fail(
        "algorithms",
        "ID tokens are signed by none that we accept",
        "let the provider sign ID tokens with RS256 or ES256",
    )


def _pkce(registration: Registration, found: Mapping[str, Any]) -> Check:
    methods = found.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" in methods:
        return Check(name="PKCE", status=OK, detail="S256 is offered, and always sent")
    if not registration.preset.advertises_pkce:
        return Check(name="PKCE", status=OK, detail="S256 is always sent; this provider checks it without saying so")
    detail = "the provider does not say that it checks S256, which is sent all the same"
    return warn("PKCE", detail, "enable PKCE for this client, or update the provider")


def _iss(registration: Registration, found: Mapping[str, Any]) -> Check:
    name = "iss parameter"
    required = registration.options.require_iss
    if found.get("authorization_response_iss_parameter_supported") is True:
        if required is False:
            detail = "the provider sends it, and REQUIRE_ISS=false does without it"
            return warn(name, detail, "leave REQUIRE_ISS out")
        return Check(name=name, status=OK, detail="sent with every answer, and compared (RFC 9207)")
    if required:
        mend = "leave REQUIRE_ISS out unless the provider sends it without saying so"
        return warn(name, "REQUIRE_ISS=true, and the provider does not say that it sends it: logins may fail", mend)
    return Check(name=name, status=OK, detail="not sent; the callback path of its own keeps providers apart")
