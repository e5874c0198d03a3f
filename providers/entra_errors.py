"""What Entra's numbers (AADSTS…) mean for us, where they say more than the OAuth error beside them. Pure.

The numbers may change: an unknown one leaves the matter to `error`. Descriptions, trace ids and the like are never repeated (rule B12).
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.base import Fault, UpstreamError

_PERMANENT = {
    "account_locked": (50053,),
    "account_not_in_tenant": (16000, 16003, 50014, 50020, 50034, 51004, 90072, 500208, 500212, 500213),
    "code_redeemed": (54005,),
    "grant_expired": (70008, 700082, 700084),
    "grant_revoked": (50132, 50133, 50173),
    "user_disabled": (50057,),
    "user_not_assigned": (50105,),
}
_INTERACTION = {
    "conditional_access": (53000, 53001, 53002, 53003, 53004, 53010, 53011, 50005, 50131, 530032, 530035),
    "consent_required": (65001, 65004, 90008, 90094, 90095),
    "mfa_required": (50072, 50074, 50076, 50078, 50079, 50097, 50158),
    "password_expired": (50055, 50125, 50135, 50144),
    "sign_in_too_old": (50058, 50089, 70043, 700020),
}
_OPERATOR = {
    "client_assertion_refused": (50012, 50013, 70021, 500133, 700021, 700024, 700027, 700030, 700229, 700213),
    "client_disabled": (70001, 7000112),
    "client_is_public": (700025,),
    "client_not_in_tenant": (700011, 700016),
    "client_secret_expired": (7000222,),
    "client_secret_missing": (7000218,),
    "client_secret_wrong": (70002, 7000215),
    "client_single_tenant": (50194, 90130, 9002332),
    "invalid_scope": (28002, 28003, 70011, 700022, 700023),
    "redirect_uri_mismatch": (50011, 70004, 900971),
    "resource_refused": (50001, 65005, 500011, 650052, 650054, 650056, 650057),
    "tenant_unknown": (50059, 90002, 90038),
}
_TRANSIENT = {
    "throttled": (50196, 90055),
    "unavailable": (
        *(40010, 50033, 50087, 50088, 50166, 70012, 80001, 80002, 80005, 80014),
        *(90006, 90012, 90024, 90033, 90090, 90091, 501621),
    ),
}
_BY_NUMBER = {
    number: (fault, reason)
    for fault, reasons in (
        (Fault.PERMANENT, _PERMANENT),
        (Fault.INTERACTION, _INTERACTION),
        (Fault.OPERATOR, _OPERATOR),
        (Fault.TRANSIENT, _TRANSIENT),
    )
    for reason, numbers in reasons.items()
    for number in numbers
}


def token_error(answer: Mapping[str, object]) -> UpstreamError | None:
    """Return what a refusal of the token endpoint means by its numbers; None leaves it to `error`."""
    numbers = answer.get("error_codes")
    for number in numbers if isinstance(numbers, list) else ():
        found = _BY_NUMBER.get(number) if type(number) is int else None
        if found is not None:
            return UpstreamError(*found)
    if answer.get("error") == "invalid_resource":
        return UpstreamError(Fault.OPERATOR, "resource_refused")
    return None
