"""What to reach: every row of the project's table of performance, as data. Pure.

`row` is the row's name in that table, word for word; a row that asks for two things has two goals. `part` is what `--only` calls the
part of a run that measures it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.load.figures import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One number that is to be reached. `by` says what is compared: CPU time of the servers unless CPU says nothing."""

    row: str
    what: str
    of: str
    target: Target
    part: str
    by: str = "CPU"


_LIMIT, _NODE, _FASTMCP, _SDK = (
    "the raw durable limit",
    "oidc-provider in memory",
    "FastMCP in memory",
    "MCP SDK in memory",
)
_REFRESH_ROW, _PEER_ROW = "refresh, ES256", "refresh; redeem, same algorithm"
_LOGIN_ROW, _INTROSPECT_ROW = "whole login (httpx2 upstream)", "introspect; the same token again"
_MEMORY_ROW = (
    "resident memory: idle (120 at the most, aim 100); growth per 100,000 registered clients; per 100,000 refreshes"
)

REFRESH_LIMIT = Goal(row=_REFRESH_ROW, what="refresh, ES256", of=_LIMIT, target=Target(0.60, 0.80), part="refresh")
REFRESH_RS256 = Goal(
    row="refresh, RS256", what="refresh, RS256", of="one RS256 signature", target=Target(0.75), part="refresh-rs256"
)
REDEEM_LIMIT = Goal(
    row="redeem a code, ES256", what="redeem a code, ES256", of=_LIMIT, target=Target(0.50, 0.65), part="redeem"
)
REFRESH_NODE = Goal(row=_PEER_ROW, what="refresh", of=_NODE, target=Target(2, 3.5), part="refresh")
REDEEM_NODE = Goal(row=_PEER_ROW, what="redeem a code", of=_NODE, target=Target(1.5), part="redeem")
REFRESH_FASTMCP = Goal(row="refresh", what="refresh", of=_FASTMCP, target=Target(75, 180), part="refresh")
SLOW_DISK = Goal(
    row="refresh on a disk whose fsync takes 2 ms, 16 connections",
    what="refresh where fsync takes 2 ms",
    of="one commit per request",
    target=Target(5, 7),
    part="slow-disk",
    by="rate",
)
LOGIN_FASTMCP = Goal(row=_LOGIN_ROW, what="whole login", of=_FASTMCP, target=Target(15, 35), part="login")
LOGIN_NODE = Goal(row=_LOGIN_ROW, what="whole login", of=_NODE, target=Target(1, 3), part="login")
AUTHORIZE_SDK = Goal(
    row="authorize with the consent page rendered, no write",
    what="authorize, page rendered",
    of=_SDK,
    target=Target(1, 2),
    part="authorize",
)
INTROSPECT_SDK = Goal(row=_INTROSPECT_ROW, what="introspect", of=_SDK, target=Target(0.6, 0.8), part="introspect")
AGAIN_SDK = Goal(
    row=_INTROSPECT_ROW, what="introspect, the same token", of=_SDK, target=Target(1.5), part="introspect-again"
)
REGISTER_SDK = Goal(row="register", what="register", of=_SDK, target=Target(0.8, 1.5), part="register")
DISCOVERY_RAW = Goal(row="discovery, JWKS", what="discovery", of="raw GET", target=Target(0.85), part="discovery")
JWKS_RAW = Goal(row="discovery, JWKS", what="JWKS", of="raw GET", target=Target(0.85), part="jwks")
VERIFIER = Goal(
    row="verifier, token seen before",
    what="verifier, token seen before",
    of="calls a second of CPU",
    target=Target(100_000),
    part="verifier",
)
POSTGRES = Goal(
    row="PostgreSQL refresh",
    what="refresh on PostgreSQL",
    of="our own SQLite refresh",
    target=Target(0.45, 0.6),
    part="postgres",
)
TWO_WORKERS = Goal(
    row="PostgreSQL, two workers", what="two workers on PostgreSQL", of="one worker", target=Target(1.6), part="workers"
)
IDLE = Goal(
    row=_MEMORY_ROW,
    what="resident memory, idle",
    of="MB",
    target=Target(120, 100, at_most=True),
    part="memory",
    by="size",
)
CLIENTS = Goal(
    row=_MEMORY_ROW,
    what="memory per 100,000 registered clients",
    of="MB",
    target=Target(30, at_most=True),
    part="memory",
    by="size",
)
REFRESHES = Goal(
    row=_MEMORY_ROW,
    what="memory per 100,000 refreshes",
    of="MB",
    target=Target(5, at_most=True),
    part="memory",
    by="size",
)
START = Goal(
    row="cold start to first answer",
    what="cold start to first answer, new database",
    of="seconds",
    target=Target(2, at_most=True),
    part="start",
    by="time",
)
MILLION = Goal(
    row="with 1,000,000 grants stored, refresh p99",
    what="refresh p99 with 1,000,000 grants stored",
    of="the empty store",
    target=Target(2, at_most=True),
    part="million",
    by="time",
)
GOALS = (
    *(REFRESH_LIMIT, REFRESH_RS256, REDEEM_LIMIT, REFRESH_NODE, REDEEM_NODE, REFRESH_FASTMCP, SLOW_DISK),
    *(LOGIN_FASTMCP, LOGIN_NODE, AUTHORIZE_SDK, INTROSPECT_SDK, AGAIN_SDK, REGISTER_SDK, DISCOVERY_RAW, JWKS_RAW),
    *(VERIFIER, POSTGRES, TWO_WORKERS, IDLE, CLIENTS, REFRESHES, START, MILLION),
)
