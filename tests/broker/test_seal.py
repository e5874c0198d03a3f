from __future__ import annotations

import base64
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.clock import SystemEntropy
from broker.seal import SealBroken, Sealer, SealExpired, WrongMasterKey, load_or_create_master_key
from tests.broker.records import NOW

ENTROPY = SystemEntropy()
OLD, NEW = bytes(32), bytes(range(32))
SEALER = Sealer([NEW, OLD], ENTROPY)
SEALED = SEALER.seal("consent-request", b"content", context="browser-1", expires_at=NOW + 600)


def opens(sealed: str) -> bool:
    try:
        SEALER.open("consent-request", sealed, context="browser-1", now=NOW)
    except SealBroken:
        return False
    return True


@given(st.binary(), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_for_the_same_purpose_and_context(plaintext: bytes, purpose: str, context: str):
    """Security rule A11."""
    sealed = SEALER.seal(purpose, plaintext, context=context)
    assert SEALER.open(purpose, sealed, context=context, now=NOW) == plaintext


@pytest.mark.parametrize(("purpose", "context"), [("session", "browser-1"), ("consent-request", "browser-2"), ("", "")])
def test_it_opens_for_nothing_else(purpose: str, context: str):
    """Security rules A3, A11: every handle serves one purpose, a page belongs to one browser."""
    with pytest.raises(SealBroken):
        SEALER.open(purpose, SEALED, context=context, now=NOW)


def test_it_is_too_old_at_its_expiry():
    """Architecture, section 9: a request awaiting consent lives ten minutes."""
    assert SEALER.open("consent-request", SEALED, context="browser-1", now=NOW + 599) == b"content"
    with pytest.raises(SealExpired):
        SEALER.open("consent-request", SEALED, context="browser-1", now=NOW + 600)


@given(st.integers(0, len(SEALED) - 1), st.characters())
def test_a_changed_character_makes_it_worthless(position: int, character: str):
    """Security rule F6."""
    changed = SEALED[:position] + character + SEALED[position + 1 :]
    assert opens(changed) == (changed == SEALED)


@given(st.text())
def test_no_text_is_a_seal(text: str):
    """Security rule F6."""
    assert not opens(text)


def test_another_spelling_is_worthless():
    """Security rule F6."""
    for changed in (SEALED + "=", SEALED + "A", SEALED + "\n", SEALED[:-1], SEALED + "\u00e9", "", "AQ"):
        assert not opens(changed)


def test_nothing_of_the_plaintext_shows_and_no_two_seals_are_alike():
    """Security rule G11."""
    again = SEALER.seal("consent-request", b"content", context="browser-1", expires_at=NOW + 600)
    assert again != SEALED
    assert b"content" not in base64.urlsafe_b64decode(SEALED + "==")


def test_the_first_key_seals_and_every_key_opens():
    """Architecture, section 5: a list, the first encrypts."""
    before = Sealer([OLD], ENTROPY).seal("purpose", b"content")
    assert SEALER.open("purpose", before, now=NOW) == b"content"
    assert not SEALER.uses_first_key(before)
    assert SEALER.uses_first_key(SEALED)
    with pytest.raises(SealBroken):
        Sealer([OLD], ENTROPY).open("consent-request", SEALED, context="browser-1", now=NOW)


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, bytes(31)], [bytes(33)]])
def test_a_master_key_is_32_bytes(keys: list[bytes]):
    """Security rule G16."""
    with pytest.raises(WrongMasterKey):
        Sealer(keys, ENTROPY)


def test_a_loopback_master_key_is_made_once_for_this_user_only(tmp_path: Path):
    """Architecture, section 7: kept beside the SQLite file with mode 0600; security rule G11."""
    path = tmp_path / "broker.db.key"
    key = load_or_create_master_key(path, ENTROPY)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_master_key(path, ENTROPY) == key
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_start_together_have_one_master_key(tmp_path: Path):
    """Security rule G11: a second key would make the first one's seals worthless."""
    path = tmp_path / "broker.db.key"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        keys = pool.starmap(load_or_create_master_key, [(path, ENTROPY)] * 16)
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", [b"", b"not a key\n", base64.urlsafe_b64encode(bytes(16)), b"\xff" * 44])
def test_a_spoilt_master_key_file_is_a_clean_error(tmp_path: Path, content: bytes):
    """Security rule G11: never silently replaced, since that would lose everything sealed."""
    path = tmp_path / "broker.db.key"
    path.write_bytes(content)
    with pytest.raises(WrongMasterKey, match="does not hold a master key"):
        load_or_create_master_key(path, ENTROPY)
    assert path.read_bytes() == content


def test_a_master_key_file_may_be_written_by_hand(tmp_path: Path):
    """Architecture, section 7: base64url of 32 bytes, with or without padding."""
    path = tmp_path / "broker.db.key"
    path.write_bytes(base64.urlsafe_b64encode(NEW).rstrip(b"=") + b"\n")
    assert load_or_create_master_key(path, ENTROPY) == NEW
