"""How PostgreSQL is connected to: what the URL says, and limits that keep every answer within five seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from broker.store.base import StoreMisconfigured

DEFAULTS = {
    "application_name": "mcp-broker",
    "connect_timeout": "2",  # seconds for each address
    "target_session_attrs": "read-write",  # of several hosts, the one that is primary
}
TIMEOUTS = {"tcp_user_timeout": "4000"}  # milliseconds
# Milliseconds; the isolation that every statement is written for, whatever the role's default is.
OPTIONS = "-c statement_timeout=4000 -c default_transaction_isolation=read\\ committed"

Parameters = dict[str, Any]


def parameters(conninfo: str) -> Parameters:
    """Return the parameters of a serving connection; what the URL says goes first. Raises StoreMisconfigured."""
    said = _parse(conninfo)
    options = f"{OPTIONS} {said['options']}" if "options" in said else OPTIONS
    return {**DEFAULTS, **TIMEOUTS, **said, "options": options}


def connector(conninfo: str) -> Callable[[], psycopg.Connection[Any]]:
    """Return how to open a connection for migrations, whose statements may take long. Raises StoreMisconfigured."""
    said = {**DEFAULTS, **_parse(conninfo)}
    return lambda: psycopg.connect("", **said)


def _parse(conninfo: str) -> Parameters:
    try:
        return dict(conninfo_to_dict(conninfo))
    except psycopg.ProgrammingError:  # its text repeats parts of the URL, which may hold a password
        raise StoreMisconfigured("the PostgreSQL URL is malformed: postgresql://user:password@host:port/name") from None
