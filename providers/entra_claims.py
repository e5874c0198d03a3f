"""What an Entra ID token says, beyond the standard: its tenant's issuer, the person's id in it, whose address it is. Pure.

Security rules B9 and B10. A person is (issuer of the tenant, tenant and object id); `sub` differs from app to app, and addresses are
what any tenant's administrator typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from providers import claims as read
from providers.base import Fault, ProviderSettings, UpstreamError
from providers.claims import Email, VerifiedClaims
from providers.entra_settings import TEMPLATE, allowed_tenants, is_guid, is_shared, metadata_issuer
from providers.signed_token import SignedClaims

_TRUE = (True, 1, "1", "true")


def issuer(signed: SignedClaims, settings: ProviderSettings) -> str:
    """Return what `iss` must be: the issuer of the token's own tenant, by a key that may sign for it; raises UpstreamError.

    A key names its issuer itself, as a template or in full. One that names none is good for a tenant's own endpoint only.
    """
    tid = _guid(signed.values, "tid", "id_token_tenant")
    expected = metadata_issuer(settings).replace(TEMPLATE, tid)
    if not expected.endswith(f"/{tid}/v2.0"):
        raise UpstreamError(Fault.PROTOCOL, "id_token_tenant")
    if signed.key_issuer is None and not is_shared(settings.options):
        return expected
    if signed.key_issuer is None or signed.key_issuer.replace(TEMPLATE, tid) != expected:
        raise UpstreamError(Fault.PROTOCOL, "key_issuer")
    return expected


def identity(claims: VerifiedClaims, _settings: ProviderSettings) -> tuple[str, str]:
    """Return issuer and subject: tenant and object id, the same for every app and for nobody else."""
    tid = _guid(claims.values, "tid", "id_token_tenant")
    return str(claims.values["iss"]), f"{tid}:{_guid(claims.values, 'oid', 'id_token_object_id')}".lower()


def admit(sources: Sequence[VerifiedClaims], settings: ProviderSettings) -> None:
    """Refuse whoever is of no allowed tenant."""
    allowed = allowed_tenants(settings.options)
    if allowed is not None and not allowed.issuperset(_tenants(sources)):
        raise UpstreamError(Fault.DENIED, "tenant_not_allowed")


def attributes(sources: Sequence[VerifiedClaims]) -> Mapping[str, tuple[str, ...]]:
    """Return the tenant."""
    tenants = _tenants(sources)
    return {"tenant": tenants} if tenants else {}


def email(sources: Sequence[VerifiedClaims], *, shared: bool) -> Email | None:
    """Return the address as far as anybody stands behind it: verified where `xms_edov` says that its domain's owner is.

    Otherwise it is a claim of the tenant, unverified: for its own members and one tenant alone. A guest's, another tenant's, or one
    that `xms_edov` denies could name anybody and is left out.
    """
    found = read.email(sources)
    if found is None:
        return None
    values = next(claims.values for claims in sources if claims.values.get("email") == found.address)
    stated = values.get("xms_edov")
    if stated in _TRUE:
        return Email(found.address, verified=True)
    is_ours = stated is None and not shared and not _is_guest(values)
    return Email(found.address, verified=False) if is_ours else None


def contexts(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the authentication contexts that the sign-in met (`acrs`, an optional claim); empty when none is known."""
    return read.words(values.get("acrs")) or ()


def _is_guest(values: Mapping[str, Any]) -> bool:
    """Whether the person is at home elsewhere: `idp` differs from `iss`, or `acct` says so."""
    return values.get("idp", values.get("iss")) != values.get("iss") or values.get("acct", 0) not in (0, "0")


def _tenants(sources: Sequence[VerifiedClaims]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(claims.values["tid"]).lower() for claims in sources if "tid" in claims.values))


def _guid(values: Mapping[str, Any], claim: str, reason: str) -> str:
    value = values.get(claim)
    if not is_guid(value):
        raise UpstreamError(Fault.PROTOCOL, reason)
    return str(value)
