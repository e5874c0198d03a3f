"""Database URLs, and the driver that is an extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from broker.clock import SystemClock
from broker.store.base import Store, StoreMisconfigured
from broker.store.driver import postgres_connect
from broker.store.open import open_store
from broker.store.url import PostgresUrl, SqliteUrl, parse
from tests.broker.store.keeper import unheard


def opened(url: str) -> Store:
    return open_store(url, sink=unheard, clock=SystemClock(), serving=True)


def test_three_slashes_are_relative_and_four_absolute():
    """Architecture section 7: `sqlite:///path`."""
    assert parse("sqlite:///broker.db") == SqliteUrl(Path.cwd() / "broker.db")
    assert parse("sqlite:////var/lib/broker.db") == SqliteUrl(Path("/var/lib/broker.db"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_both_spellings_of_postgresql_are_taken(scheme: str):
    """Architecture section 7: `postgres://` accepted; hosting companies hand it out."""
    assert parse(f"{scheme}://me@db/broker") == PostgresUrl("postgresql://me@db/broker")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker.db",
        "sqlite:broker.db",
        "sqlite:///",
        "sqlite:////folder/",
        "sqlite:///:memory:",
        "sqlite:///broker.db?mode=ro",
        "mysql://root:geheim@db/broker",
    ],
)
def test_other_urls_are_refused_without_being_repeated(url: str):
    """Rule G13: a URL may hold a password."""
    with pytest.raises(StoreMisconfigured) as refusal:
        opened(url)
    assert "geheim" not in str(refusal.value)


def test_a_malformed_postgresql_url_is_refused_without_being_repeated():
    """Rule G13."""
    pytest.importorskip("psycopg")
    with pytest.raises(StoreMisconfigured) as refusal:
        opened("postgresql://me:geheim@db:port/broker?geheim")
    assert "geheim" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert "geheim" not in repr(parse("postgresql://me:geheim@db/broker"))


def test_a_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    """PostgreSQL is an extra."""
    for module in ("broker.store.postgres", "broker.store.postgres_connection", "broker.store.postgres_pool"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreMisconfigured, match=r"pip install 'mcp-federation-broker\[postgres\]'"):
        opened("postgresql://db/broker")
    with pytest.raises(StoreMisconfigured, match=r"pip install 'mcp-federation-broker\[postgres\]'"):
        postgres_connect("postgresql://db/broker")
