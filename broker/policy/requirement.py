"""What a resource itself demands of a sign-in (`…__REQUIRE`). What is unknown does not meet it. Pure."""

from __future__ import annotations

from broker.model import Requirement
from broker.policy.attributes import Facts


def unmet(require: Requirement, facts: Facts) -> list[str]:
    """Return in words each demand that this sign-in does not meet; none: it is good."""
    words = []
    if require.acr and facts.acr not in require.acr:
        has = "unknown" if facts.acr is None else facts.acr
        words.append(f"an acr of {' or '.join(require.acr)}, and this sign-in's is {has}")
    if require.max_login_age is not None and (facts.login_age is None or facts.login_age > require.max_login_age):
        has = "how old this one is, is unknown" if facts.login_age is None else f"this one is {facts.login_age} s old"
        words.append(f"a sign-in no older than {require.max_login_age} s, and {has}")
    return words
