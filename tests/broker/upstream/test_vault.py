"""Upstream tokens under seal (rules B13, G11)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from broker.clock import SystemEntropy
from broker.model import Identity
from broker.seal import SealBroken, Sealer
from broker.upstream.vault import TokenVault
from providers.base import UpstreamTokens
from tests.broker.harness import fresh_sqlite
from tests.broker.records import NOW, make_identity
from tests.broker.store.keeper import Keeper, make_session

OLD, NEW = b"o" * 16 + b"O" * 16, b"n" * 16 + b"N" * 16
TOKENS = UpstreamTokens(access_token="at-secret", refresh_token="rt-secret", id_token="e.y.z", expires_in=300)
ALICE = make_identity()


def vault(*keys: bytes) -> TokenVault:
    return TokenVault(Sealer(keys, SystemEntropy()))


def test_tokens_come_back_as_they_were_and_are_not_read_in_between():
    for tokens in (TOKENS, UpstreamTokens(access_token="only")):
        sealed = vault(OLD).seal(ALICE, tokens)
        assert not [part for part in ("at-secret", "rt-secret", "only") if part in sealed]
        assert vault(NEW, OLD).open(ALICE, sealed, now=NOW) == tokens


@pytest.mark.parametrize("other", [replace(ALICE, subject="u_bob"), replace(ALICE, provider="github")], ids=str)
def test_tokens_open_for_their_own_person_at_their_own_provider_only(other: Identity):
    """Rule B14: a row that was swapped in the database gives nobody somebody else's session."""
    sealed = vault(OLD).seal(ALICE, TOKENS)
    with pytest.raises(SealBroken):
        vault(OLD).open(other, sealed, now=NOW)


async def test_reseal_moves_every_token_so_that_the_old_master_key_may_go(tmp_path: Path):
    """Architecture section 8, `keys reseal`."""
    keeper = Keeper(fresh_sqlite(tmp_path))
    store = await keeper.open()
    for n in range(3):
        session = make_session(session_hash=bytes([n]) * 32, sealed_tokens=vault(OLD).seal(ALICE, TOKENS))
        await store.save_session(session, replaces=None, now=NOW, events=())
    assert await vault(NEW, OLD).reseal(store, now=NOW) == (3, 0)
    assert await vault(NEW, OLD).reseal(store, now=NOW) == (0, 0)
    for _, sealed in await store.sealed_tokens(after="", limit=9):
        assert vault(NEW).open(ALICE, sealed, now=NOW) == TOKENS
    assert await vault(OLD).reseal(store, now=NOW) == (0, 3), "told, and nothing is lost"
    await keeper.close()
