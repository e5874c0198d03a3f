"""One identity provider: what its adapter says, its clock, and what follows from the settings alone. Nobody waits for its neighbour."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime

from broker.clock import Clock
from broker.doctor.findings import fail, ok, side_by_side, warn
from broker.settings import ProviderConfig
from providers.base import Check, Diagnoses, UpstreamError

EXAMINATION, CLOCK, REDIRECT_URI, WHO, SETTINGS = "examination", "clock", "redirect URI", "who may sign in", "settings"
REQUESTS = 4  # one after the other in an adapter's check, each within the provider's time-out
NOTICED, WRONG = 15, 60  # seconds: a Date header is up to a second old, and travels; what ID tokens are allowed
_NAME = re.compile(r"\b[A-Z][A-Z0-9_]{3,}\b")
_RESTRICTIONS = {
    "google": "HOSTED_DOMAINS, compared with the claim hd",
    "github": "ALLOWED_ORGS, best with org:<id>",
    "gitlab": "ALLOWED_GROUPS, such as your top-level group and what is below it: example, example/*",
    "entra": "ALLOWED_TENANTS, a list of tenant ids, or TENANT to your own tenant's id instead of common",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One provider as it is examined.

    `adapter` is None where it could not be built, and `fault` says why. `date` returns the Date header of any answer of the
    provider. `restricted` says that not everybody on the internet can sign in; `names` are its settings, for the mends.
    """

    config: ProviderConfig
    redirect_uri: str
    restricted: bool
    adapter: object | None = None  # whatever a type builds; only `Diagnoses` is asked of it
    fault: str = ""
    date: Callable[[], Awaitable[str | None]] | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()


async def examine(patient: Patient, clock: Clock) -> list[Check]:
    """Return every check of one provider, the adapter's first; each name and setting is spelled in full."""
    if patient.adapter is None:
        fix = "Change the setting named; a CA_FILE holds certificates in PEM, and is not needed for a public CA."
        found = [fail(SETTINGS, patient.fault, fix)]
    else:
        found = await side_by_side({EXAMINATION: _adapter(patient)})
    known = {check.name for check in found}  # where the adapter looked, it knows better
    if CLOCK not in known:
        found += await _clock(patient, clock)
    found += [check for check in _from_settings(patient) if check.name not in known]
    return [_spelled(check, patient) for check in found]


async def _adapter(patient: Patient) -> Sequence[Check]:
    adapter, settings = patient.adapter, patient.config.adapter
    if not isinstance(adapter, Diagnoses):
        fix = "Sign in once and read the log, or set BROKER_DEBUG_LOGIN=true and open /debug/login."
        return [warn(EXAMINATION, f"Providers of type {settings.type} cannot be examined without a person", fix)]
    limit = settings.timeout * REQUESTS
    try:
        async with asyncio.timeout(limit):
            return await adapter.check(patient.redirect_uri)
    except TimeoutError:
        fix = f"See whether this machine may connect to {settings.issuer}; a slow provider may need a longer TIMEOUT."
        return [fail(EXAMINATION, f"It did not end within {limit:.0f} seconds", fix)]
    except UpstreamError as error:
        fix = "Look at ISSUER, PROXY and CA_FILE."
        return [fail(EXAMINATION, f"It ended early: {error.reason}", fix)]


async def _clock(patient: Patient, clock: Clock) -> list[Check]:
    """Compare the provider's Date header with our clock: ID tokens are judged by it (rule F4)."""
    if patient.date is None:
        return []
    try:
        async with asyncio.timeout(patient.config.adapter.timeout):
            header = await patient.date()
        now = clock.now()
        theirs = int(parsedate_to_datetime(header or "").timestamp())
    except (UpstreamError, TimeoutError):
        return []  # that it cannot be reached is told already
    except (ValueError, OverflowError):
        return [warn(CLOCK, "It sends no Date header to compare with", "Nothing to do, if people can sign in.")]
    seconds = abs(theirs - now)
    words = f"It is {seconds} seconds {'ahead of' if theirs > now else 'behind'} the broker's"
    fix = "Let this machine and the database keep time by NTP (timedatectl set-ntp true); if others agree with ours, tell the provider."
    if seconds > WRONG:
        return [fail(CLOCK, f"{words}: its ID tokens are refused as too old or too new", fix)]
    if seconds > NOTICED:
        return [warn(CLOCK, words, fix)]
    return [ok(CLOCK, "It agrees with the broker's")]


def _from_settings(patient: Patient) -> list[Check]:
    settings = patient.config.adapter
    found = [ok(REDIRECT_URI, f"Register exactly {patient.redirect_uri}")]
    if not patient.restricted:
        restriction = _RESTRICTIONS.get(settings.type, "ALLOWED_DOMAINS")
        found.append(warn(WHO, f"Anybody with an account at {settings.type} can sign in", f"Set {restriction}."))
    return found


def _spelled(check: Check, patient: Patient) -> Check:
    """Return a check under the provider's id, with each of its settings under the variable's whole name."""
    prefix = f"BROKER_PROVIDERS__{patient.config.id.upper()}__"

    def whole(found: re.Match[str]) -> str:
        name = found[0]
        return prefix + name if name.lower() in patient.names else name

    return replace(check, name=f"{patient.config.id}: {check.name}", fix=_NAME.sub(whole, check.fix))
