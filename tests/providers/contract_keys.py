"""Contract: the provider's keys (security rule B8)."""

from __future__ import annotations

from providers.base import Fault
from tests.providers import scripted_faults as faulty
from tests.providers import signing
from tests.providers.case import Case
from tests.providers.scripted_faults import ABSENT


async def test_a_key_rotated_in_the_middle_of_a_login_fails_nobody(case: Case) -> None:
    """Security rule B8."""
    await case.sign_in()
    case.idp.faults.rotate_before_token = True
    assert (await case.sign_in()).subject == case.alice
    assert len(case.idp.calls("jwks")) == 2


async def test_a_key_replaced_under_its_old_kid_fails_nobody(case: Case) -> None:
    """Security rule B8."""
    case.idp.faults.key["kid"] = case.idp.faults.header["kid"] = "the-only"
    case.idp.families = {"RSA"}
    await case.sign_in()
    case.idp.rotate()
    assert (await case.sign_in()).subject == case.alice


async def test_an_unknown_kid_asks_for_the_keys_at_most_once_in_30_seconds(case: Case) -> None:
    """Security rule B8."""
    await case.sign_in()
    case.idp.faults.header["kid"] = "nobody-has-it"
    for _ in range(3):
        await case.is_refused("key_unknown")
    assert len(case.idp.calls("jwks")) == 2
    case.clock.value += 30
    await case.is_refused("key_unknown")
    assert len(case.idp.calls("jwks")) == 3


async def test_one_unusable_key_never_spoils_the_set(case: Case) -> None:
    """Security rule B8: encryption keys, unknown curves, broken and private keys are left out one by one."""
    case.idp.faults.extra_keys += [
        {"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "RSA-0", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "crv": "BP-256", "kid": "RSA-0", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "RSA-0", "n": "!!", "e": "AQAB"},
        {"kty": "oct", "kid": "RSA-0", "k": "c2VjcmV0"},
        {"kid": "RSA-0"},
        "nonsense",
        None,
    ]
    assert (await case.sign_in()).subject == case.alice


async def test_two_keys_with_one_kid_are_tried_in_turn(case: Case) -> None:
    """Security rule B8."""
    case.idp.faults.extra_keys.append({**signing.public_jwk("RSA", -1), "kid": "RSA-0"})
    assert (await case.sign_in()).subject == case.alice


async def test_a_token_without_kid_meets_a_key_without_kid(case: Case) -> None:
    """RFC 7515 section 4.1.4: `kid` is optional."""
    case.idp.families = {"RSA"}
    case.idp.faults.key["kid"] = case.idp.faults.header["kid"] = ABSENT
    assert (await case.sign_in()).subject == case.alice


async def test_keys_serve_on_while_the_provider_cannot_publish_them(case: Case) -> None:
    """Security rule B8: stale if error, for a day."""
    await case.sign_in()
    case.idp.faults.answers["jwks"] = faulty.DOWN
    case.clock.value += 25 * 3600 - 1
    assert (await case.sign_in()).subject == case.alice
    case.clock.value += 30
    await case.is_refused("jwks_unavailable", Fault.TRANSIENT)


async def test_a_set_without_a_usable_key_is_refused_and_the_last_good_one_kept(case: Case) -> None:
    """Security rule B8."""
    case.idp.faults.key["use"] = "enc"
    await case.is_refused("jwks_unusable")
    case.idp.faults.key.clear()
    case.clock.value += 2
    await case.sign_in()
    case.idp.faults.key["use"] = "enc"
    case.clock.value += 3600
    assert (await case.sign_in()).subject == case.alice
