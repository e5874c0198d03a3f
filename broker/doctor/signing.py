"""The master key and the signing keys (rules F3, G11): whether what is kept sealed opens, and whether the schedule is kept."""

from __future__ import annotations

from collections.abc import Sequence

from broker.doctor.findings import fail, ok, warn
from broker.keys import SigningKeys
from broker.model import SigningKey
from broker.protocol import key_ring
from broker.protocol.key_ring import MAC, State
from broker.seal import Sealer, WrongMasterKey
from broker.settings import DAY, HOUR, Settings
from providers.base import Check

MASTER_KEY, SIGNING_KEYS = "master key", "signing keys"
RESTORE = (
    "Put the key they were sealed with into BROKER_MASTER_KEY; it may stand after a newer one in the comma-separated list. "
    "On loopback it is the file beside the database that ends in .key: restore it from a copy."
)
_FIRST_START = "Start `mcp-broker serve`: the first start makes them."


async def master_key(keys: SigningKeys, ring: Sequence[SigningKey], sealer: Sealer) -> Check:
    """Load the keys into `keys`, making and changing none, and say whether the master key opened every one of them."""
    try:
        await keys.load()
    except WrongMasterKey:
        return fail(MASTER_KEY, "It does not open the keys in this database", RESTORE)
    older = [key for key in ring if not sealer.uses_first_key(key.sealed)]
    if older:
        fix = "Keep the older master key in the list until `mcp-broker keys reseal` says that it may go."
        return warn(MASTER_KEY, f"It opens all {len(ring)} keys; {len(older)} are sealed under an older one", fix)
    return ok(
        MASTER_KEY, f"It opens all {len(ring)} keys of this database" if ring else "It is there; no key is kept yet"
    )


def missing_master_key(ring: Sequence[SigningKey]) -> Check:
    """Return what it means that there is no master key here, which only a loopback issuer with a SQLite file may lack."""
    if not ring:
        return ok(MASTER_KEY, "None is set: the first start makes one beside the SQLite file, for this loopback issuer")
    return fail(MASTER_KEY, f"The {len(ring)} keys in this database were sealed with a key that is not here", RESTORE)


def signing_keys(settings: Settings, ring: Sequence[SigningKey], now: int) -> list[Check]:
    """Return for each algorithm in use since when its key signs, what comes next, and whether the schedule is kept."""
    return [_algorithm(settings, [key for key in ring if key.alg == alg], alg, now) for alg in settings.signing_algs]


def published(ring: Sequence[SigningKey], now: int) -> list[str]:
    """Return the ids of the keys that verifiers must be able to see."""
    return [key.kid for key in ring if key.alg != MAC and key_ring.state(key, now) is not State.GONE]


def _algorithm(settings: Settings, ring: Sequence[SigningKey], alg: str, now: int) -> Check:
    name = f"{SIGNING_KEYS} {alg}"
    signing = key_ring.signing_key(ring, alg, now)
    if signing is None:
        return warn(name, "There is none yet", _FIRST_START)
    pending = sorted(key.activates_at for key in ring if key_ring.state(key, now) is State.PENDING and key != signing)
    age = (now - signing.activates_at) // DAY
    follows = f"; a pending one signs in {_span(pending[0] - now)}" if pending else "; none is pending"
    words = f"{signing.kid[:12]}… signs for {age} days{follows}"
    if not pending and now > signing.activates_at + settings.key_rotation + HOUR:
        fix = "A broker that serves rotates by itself: see that one runs with this database, or run `mcp-broker keys rotate`."
        return warn(name, f"{words}, though BROKER_KEY_ROTATION is {settings.key_rotation // DAY} days", fix)
    return ok(name, words)


def _span(seconds: int) -> str:
    return f"{seconds // HOUR} h {seconds % HOUR // 60} min"
