"""What a production issuer must not start with, and what an administrator should know (security rule G16)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from broker.config.faults import Faults
from broker.config.places import NEW_MASTER_KEY
from broker.config.reader import Reader
from broker.config.sources import Path
from broker.settings import Address, ProviderConfig

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
LEAST_SECRET = 32  # characters
NEW_SECRET = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"  # noqa: S105 - a command


def check_secret(reader: Reader, path: Path, secret: str) -> None:
    """Note a client's or resource's secret that could be guessed."""
    if len(secret) < LEAST_SECRET:
        name, origin = reader.place(path)
        wrong = f"has {len(secret)} characters, and {LEAST_SECRET} are the least for an issuer that is not loopback"
        reader.faults.add_unsafe(name, origin, wrong, f"make one with: {NEW_SECRET}")


def check_master_key(reader: Reader, keys: tuple[bytes, ...] | None, database_url: str | None) -> None:
    """Note a master key that is a placeholder, or that there is none; on loopback one is made, but only beside a SQLite file."""
    for number, key in enumerate(keys or (), start=1):
        if len(set(key)) == 1:
            name, origin = reader.place(("master_key",))
            wrong = f"is one byte repeated in place {number}: whoever guesses it opens every secret in the database"
            reader.faults.add_unsafe(name, origin, wrong, f"make one with: {NEW_MASTER_KEY}")
    if keys or reader.given(("master_key",)) is not None:
        return
    mend = f"make one with: {NEW_MASTER_KEY}"
    missing = "is missing; without it nothing can be kept sealed"
    if database_url is not None and database_url.startswith("postgresql:"):
        reader.faults.add("BROKER_MASTER_KEY", "", f"{missing} (one is made by itself only beside a SQLite file)", mend)
    else:
        reader.faults.add_unsafe("BROKER_MASTER_KEY", "", missing, mend)


def check_listeners(reader: Reader, public: Address | None, admin: Address | None) -> None:
    """Note that both listeners want one port: the second could not start."""
    if public is None or admin is None or public.port != admin.port:
        return
    if public.host == admin.host or EVERYWHERE & {public.host, admin.host}:
        reader.refuse(
            ("admin_bind",),
            f"has port {admin.port}, which BROKER_BIND takes",
            "give probes and metrics a port of their own",
        )


def note_warnings(
    faults: Faults, values: Mapping[str, Any], providers: tuple[ProviderConfig, ...], resources: int, *, loopback: bool
) -> None:
    """Note what is allowed and may still not be meant."""
    bind = values["bind"]
    if loopback and bind is not None and not bind.loopback:
        faults.warnings.append(
            f"BROKER_BIND is {bind.host}:{bind.port} although the issuer is loopback: whoever can reach it meets a broker with a "
            "development issuer's relaxations, and the Host check is off"
        )
    bind = values["admin_bind"]
    if bind is not None and not bind.loopback:
        faults.warnings.append(
            f"BROKER_ADMIN_BIND is {bind.host}:{bind.port}: whoever can reach it reads metrics; keep it off the internet"
        )
    for network in values["trusted_proxies"] or ():
        if ipaddress.ip_network(network).prefixlen == 0:
            faults.warnings.append(f"BROKER_TRUSTED_PROXIES has {network}: anyone can claim any address")
    if values["debug_login"]:
        faults.warnings.append("BROKER_DEBUG_LOGIN is true: switch it off once sign-in works")
    if not providers:
        faults.warnings.append("No identity provider is configured: nobody can sign in")
    if not resources:
        faults.warnings.append("No resource is configured: there is no MCP server to give tokens for")
