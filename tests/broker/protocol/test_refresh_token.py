from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol import refresh_token
from broker.protocol.refresh_token import Turn, Unproven
from tests.broker.records import NOW, make_grant

KEY = bytes(range(32))
HANDLE = "AbCdEfGhIjKlMnOpQrSt_-"
TOKEN = refresh_token.mint(KEY, HANDLE, 7)


def accepted(token: str, key: bytes = KEY) -> bool:
    unproven = refresh_token.parse(token)
    return unproven is not None and refresh_token.genuine(key, unproven)


@given(st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True), st.integers(1, 10**15 - 1))
def test_every_token_we_mint_is_recognised(handle: str, generation: int):
    """Architecture, section 5: every genuine generation is recognised by one row."""
    token = refresh_token.mint(KEY, handle, generation)
    unproven = refresh_token.parse(token)
    assert unproven == Unproven(handle=handle, generation=generation, token=token)
    assert refresh_token.genuine(KEY, unproven)


def test_a_token_is_computed_and_carries_nothing_else():
    """Security rule E7: the same successor can be made again."""
    assert refresh_token.mint(KEY, HANDLE, 7) == TOKEN
    assert TOKEN.startswith("rt_AbCdEfGhIjKlMnOpQrSt_-.7.")


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_changed_character_makes_a_token_worthless(position: int, character: str):
    """Security rule F6."""
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    assert accepted(changed) == (changed == TOKEN)


@pytest.mark.parametrize(
    "changed",
    [
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN[:-1],
        TOKEN.replace(".7.", ".07."),
        TOKEN.replace(".7.", ".0."),
        TOKEN.replace(".7.", ".-7."),
        TOKEN.replace(".7.", ".\N{FULLWIDTH DIGIT SEVEN}."),
        TOKEN.replace(".7.", f".{10**15}."),
        "",
        "rt_",
    ],
)
def test_another_spelling_of_a_token_is_worthless(changed: str):
    """Security rule F6."""
    assert not accepted(changed)


@given(st.text())
def test_no_text_is_a_token(text: str):
    """Security rules E10, F6."""
    assert not accepted(text)


def test_a_token_made_with_another_key_is_worthless():
    """Security rule G11: the database without the master key mints nothing."""
    assert not accepted(TOKEN, bytes(32))


ROTATED = make_grant(generation=7, rotated_at=NOW)


@pytest.mark.parametrize(
    ("generation", "seconds", "turn"),
    [
        (7, 0, Turn.ROTATE),
        (7, 10**6, Turn.ROTATE),
        (6, 0, Turn.REPEAT),
        (6, 119, Turn.REPEAT),
        (6, 120, Turn.REUSED),
        (5, 119, Turn.LATE),
        (1, 0, Turn.LATE),
        (5, 120, Turn.REUSED),
        (1, 10**6, Turn.REUSED),
        (8, 0, Turn.FUTURE),
        (8, 10**6, Turn.FUTURE),
        (6, -119, Turn.REPEAT),
        (6, -120, Turn.LATE),
        (1, -120, Turn.LATE),
    ],
)
def test_what_a_genuine_token_leads_to(generation: int, seconds: int, turn: Turn):
    """RFC 9700 section 4.14.2; security rules E6, E7, E8, F4: only the immediate predecessor has grace, 120 s long."""
    assert refresh_token.decide(ROTATED, generation, now=NOW + seconds, grace=120) is turn


def test_without_grace_every_older_token_is_reuse():
    """Security rule E6."""
    assert refresh_token.decide(ROTATED, 6, now=NOW, grace=0) is Turn.REUSED


def test_no_token_belongs_to_a_grant_that_never_had_one():
    """A grant without refresh tokens has generation 0."""
    assert refresh_token.decide(make_grant(generation=0), 1, now=NOW, grace=120) is Turn.FUTURE
