"""The database: there, of this version's schema, and of the same time as this machine."""

from __future__ import annotations

import asyncio

from broker.doctor.findings import fail, ok, warn
from broker.store.base import StoreMisconfigured, StoreUnavailable
from broker.store.url import SqliteUrl, parse
from providers.base import Check, Verdict

STORE, SCHEMA, CLOCK = "database", "schema", "database clock"
NOTICED, WRONG = 5, 60  # seconds between two clocks: worth a word; more than what verifiers tolerate
PATIENCE = 12.0  # seconds
NTP = "Let both machines keep time by NTP (timedatectl set-ntp true, or chrony)."


async def schema(url: str) -> list[Check]:
    """Return whether the database can be opened; nothing is made or migrated by looking. The URL is never repeated."""
    place = parse(url)
    if isinstance(place, SqliteUrl) and not place.path.exists():
        fix = (
            "Start `mcp-broker serve`; if it should be there, compare BROKER_DATABASE_URL and the folder this runs in."
        )
        return [warn(STORE, f"There is no file {place.path} yet: the first start makes it", fix)]
    try:
        async with asyncio.timeout(PATIENCE):
            old = await asyncio.to_thread(_pending, url)
    except TimeoutError:
        return [unavailable(f"it did not answer within {PATIENCE:.0f} seconds", url)]
    except (StoreUnavailable, StoreMisconfigured) as error:
        return [unavailable(str(error), url)]
    if not old:
        return [ok(SCHEMA, "It is what this version needs")]
    if isinstance(place, SqliteUrl):
        fix = "Restart the broker, which migrates SQLite by itself; or stop it and run `mcp-broker migrate`."
    else:
        fix = "Run `mcp-broker migrate` before any broker of this version starts (`migrate --sql` prints it for a DBA)."
    return [fail(SCHEMA, "The database's schema is older than this version needs, or not made yet", fix)]


def unavailable(why: str, url: str) -> Check:
    """Return that the database does not answer; `why` is the store's own sentence. The URL is never repeated."""
    words = " ".join(why.removeprefix("the database ").split())[:300]  # a driver's own words have lines of their own
    return fail(STORE, words, mend(url))


def mend(url: str) -> str:
    """Return where to look when the database of a URL does not answer. The URL is never repeated."""
    if isinstance(parse(url), SqliteUrl):
        where = "it names a file of the broker's (or none yet), in a folder that exists and belongs to the service."
    else:
        where = "host, port, name, user and password; and whether this machine may connect there."
    return f"Look at BROKER_DATABASE_URL: {where}"


def clock(offset: float) -> Check:
    """Judge the database's time minus this machine's, in seconds. The broker lives in the database's time (rule F4)."""
    seconds = abs(round(offset))
    words = f"It is {seconds} seconds {'ahead of' if offset > 0 else 'behind'} this machine's"
    if seconds >= WRONG:
        return fail(
            CLOCK, f"{words}: tokens are dated by the database, and MCP servers refuse what is not of their time", NTP
        )
    if seconds >= NOTICED:
        return warn(CLOCK, words, NTP)
    return Check(name=CLOCK, status=Verdict.OK, detail="It agrees with this machine's")


def _pending(url: str) -> bool:
    from broker.store.migrate import pending  # noqa: PLC0415 - Alembic is imported only to migrate

    return pending(url)
